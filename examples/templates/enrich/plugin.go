// Adds the city to each user who is inserted into app.users with a zip. A web server knows the cities.
package main

import (
	"encoding/json"
	"regexp"

	"welcome/gtm"
)

var url string

// A zip becomes a part of the URL.
var zipCode = regexp.MustCompile(`^[A-Za-z0-9]+$`)

func init() {
	gtm.Register(gtm.Plugin{
		Settings: []gtm.Setting{
			{Name: "url", Required: true, Doc: "The address that knows the places. The plugin asks for URL/ZIP."},
		},
		Init: readSettings,
		// The plugin updates documents, and does not subscribe to updates: it would see its own ones.
		Subscriptions: []gtm.Subscription{{Namespace: "app.users", Operations: []gtm.OperationType{gtm.Insert}}},
		Filter:        hasZip,
		Handle:        addCity,
	})
}

func main() {}

func readSettings() ([]gtm.Subscription, error) {
	url, _ = gtm.Config("url")
	return nil, nil
}

func hasZip(op *gtm.Op) bool {
	user, err := op.Document()
	if err != nil {
		return true
	}
	_, ok := user.Get("zip")
	return ok
}

func addCity(op *gtm.Op) error {
	user, err := op.Document()
	if err != nil {
		return err
	}
	zip, err := user.Required().Text("zip")
	if err != nil {
		return err
	}
	if !zipCode.MatchString(zip) {
		return gtm.Rejectf("zip: expected letters and digits")
	}
	response, err := gtm.SendRequest(gtm.Request{Method: "GET", URL: url + "/" + zip})
	if err != nil {
		return err
	}
	if err := response.ErrorForStatus(); err != nil {
		return err
	}
	var place struct{ City string }
	if err := json.Unmarshal(response.Body, &place); err != nil || place.City == "" {
		return gtm.Rejectf("%s/%s has no city", url, zip)
	}
	id, _ := user.Get("_id")
	users := gtm.Collection(op.Database + "." + op.Collection)
	_, err = users.Update(gtm.D{{"_id", id}}, gtm.D{{"$set", gtm.D{{"city", place.City}}}}, gtm.UpdateOptions{})
	gtm.Debugf("%s is in %s", zip, place.City)
	return err
}
