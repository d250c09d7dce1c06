// Sends each document that is written to a collection orders to a web server, as JSON.
package main

import "welcome/gtm"

var url, token string

func init() {
	gtm.Register(gtm.Plugin{
		Settings: []gtm.Setting{
			{Name: "url", Required: true, Doc: "The address that gets each document."},
			{Name: "token", Secret: true, Doc: "The token that is sent along."},
		},
		Init: readSettings,
		// A * stands for any characters: each database may have the collection.
		Subscriptions: []gtm.Subscription{
			{Namespace: "*.orders", Operations: []gtm.OperationType{gtm.Insert, gtm.Update, gtm.Replace}},
		},
		Handle: send,
	})
}

func main() {}

func readSettings() ([]gtm.Subscription, error) {
	url, _ = gtm.Config("url")
	token, _ = gtm.Config("token")
	return nil, nil
}

// The host retries the op if the server cannot do it now, and rejects it if the server refuses it.
func send(op *gtm.Op) error {
	order, err := op.Document()
	if err != nil {
		return err
	}
	body, err := order.JSON()
	if err != nil {
		return err
	}
	headers := [][2]string{{"Content-Type", "application/json"}, gtm.IdempotencyKey(op)}
	if token != "" {
		headers = append(headers, [2]string{"Authorization", "Bearer " + token})
	}
	response, err := gtm.SendRequest(gtm.Request{Method: "POST", URL: url, Headers: headers, Body: []byte(body)})
	if err != nil {
		return err
	}
	gtm.Debugf("answered with status %d", response.Status)
	return response.ErrorForStatus()
}
