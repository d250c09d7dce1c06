package main

import (
	"testing"

	"welcome/gtm"
)

func run(user gtm.D, body string) (bool, error) {
	gtm.Reset()
	gtm.Testing.Config["url"] = "https://api.example.com/places"
	gtm.Testing.Answer = func(gtm.Request) (gtm.Response, error) {
		return gtm.Response{Status: 200, Body: []byte(body)}, nil
	}
	return gtm.Run(gtm.NewInsert("app", "users", user))
}

func TestAUserGetsACity(t *testing.T) {
	if wanted, err := run(gtm.D{{"_id", 1}, {"zip", "10115"}}, `{"city":"Berlin"}`); !wanted || err != nil {
		t.Fatal(wanted, err)
	}
	if url := gtm.Testing.Requests[0].URL; url != "https://api.example.com/places/10115" {
		t.Error(url)
	}
	write := gtm.Testing.Writes[0]
	if city, _ := write.Documents[0].Text("$set", "city"); write.Namespace != "app.users" || city != "Berlin" {
		t.Error(write)
	}
}

func TestWhatCannotBeLookedUpIsRejected(t *testing.T) {
	for _, zip := range []string{"../secrets", "10115"} {
		_, err := run(gtm.D{{"_id", 1}, {"zip", zip}}, `{}`)
		if _, rejected := err.(*gtm.Rejection); !rejected {
			t.Error(zip, err)
		}
	}
}

func TestAUserWithoutAZipIsNotWanted(t *testing.T) {
	if wanted, _ := run(gtm.D{{"_id", 1}}, `{}`); wanted {
		t.Error("the user was wanted")
	}
}
