package main

import (
	"testing"

	"welcome/gtm"
)

func TestANewUserGetsAMail(t *testing.T) {
	gtm.Reset()
	gtm.Testing.Config["subject"] = "Hi"
	user := gtm.NewInsert("app", "users", gtm.D{{"name", "Ada"}, {"email", "ada@example.com"}})
	if wanted, err := gtm.Run(user); !wanted || err != nil {
		t.Fatal(wanted, err)
	}
	mail := gtm.Testing.Mails[0]
	if mail.To[0] != "ada@example.com" || mail.Subject != "Hi" || mail.Text != "Hello Ada" {
		t.Error(mail)
	}
}

func TestAUserWithoutEmailIsRejected(t *testing.T) {
	gtm.Reset()
	_, err := gtm.Run(gtm.NewInsert("app", "users", gtm.D{{"name", "Ada"}}))
	if _, rejected := err.(*gtm.Rejection); !rejected || err.Error() != "email: expected a string, found nothing" {
		t.Error(err)
	}
}

func TestOtherChangesAreNotWanted(t *testing.T) {
	if wanted, _ := gtm.Run(gtm.NewInsert("app", "orders", nil)); wanted {
		t.Error("the order was accepted as a user")
	}
}
