// Sends a mail to each user who is inserted into a collection users.
package main

import "welcome/gtm"

func init() { gtm.Register(gtm.Plugin{Filter: isNewUser, Handle: greet}) }

func main() {}

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
	subject, ok := gtm.Config("subject")
	if !ok {
		subject = "Welcome"
	}
	if _, err := gtm.SendMail(gtm.Message{To: []string{email}, Subject: subject, Text: "Hello " + name}); err != nil {
		return err
	}
	gtm.Infof("welcomed %s", name)
	return nil
}
