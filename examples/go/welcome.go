// Sends a mail to each user who is inserted into a collection users.
package main

import "welcome/gtm"

var subject string

func init() {
	gtm.Register(gtm.Plugin{
		Settings: []gtm.Setting{{Name: "subject", Default: "Welcome", Doc: "The subject of the mail."}},
		Init:     readSettings,
		Filter:   isNewUser,
		Handle:   greet,
	})
}

func main() {}

func readSettings() ([]gtm.Subscription, error) {
	subject, _ = gtm.Config("subject")
	return nil, nil
}

func isNewUser(op *gtm.Op) bool { return op.IsInsert() && op.Collection == "users" }

// The host retries the op after an error, except after one that no retry can help: of a document, of a mail, or of gtm.Reject.
func greet(op *gtm.Op) error {
	user, err := op.Document()
	if err != nil {
		return err
	}
	json, err := user.CanonicalJSON()
	if err != nil {
		return err
	}
	gtm.Debugf("document: %s", json)

	email, err := user.Required().Text("email")
	if err != nil {
		return err
	}
	name, ok := user.Text("name")
	if !ok {
		name = "there"
	}
	if _, err := gtm.SendMail(gtm.Message{To: []string{email}, Subject: subject, Text: "Hello " + name}); err != nil {
		return err
	}
	gtm.Infof("welcomed %s", name)
	return nil
}
