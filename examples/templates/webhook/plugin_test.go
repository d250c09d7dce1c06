package main

import (
	"slices"
	"testing"

	"welcome/gtm"
)

func run(status uint16) error {
	gtm.Reset()
	gtm.Testing.Config["url"] = "https://api.example.com/orders"
	gtm.Testing.Config["token"] = "secret"
	gtm.Testing.Answer = func(gtm.Request) (gtm.Response, error) { return gtm.Response{Status: status}, nil }
	_, err := gtm.Run(gtm.NewInsert("shop", "orders", gtm.D{{"total", 120}}))
	return err
}

func TestAnOrderIsSent(t *testing.T) {
	if err := run(200); err != nil {
		t.Fatal(err)
	}
	request := gtm.Testing.Requests[0]
	if request.URL != "https://api.example.com/orders" || len(request.Body) == 0 {
		t.Error(request)
	}
	if !slices.Contains(request.Headers, [2]string{"Authorization", "Bearer secret"}) {
		t.Error(request.Headers)
	}
}

func TestABusyServerIsAskedAgainAndARefusalIsFinal(t *testing.T) {
	if err := run(503); err == nil {
		t.Error("a busy server was taken for a success")
	} else if _, rejected := err.(*gtm.Rejection); rejected {
		t.Error(err)
	}
	if _, rejected := run(400).(*gtm.Rejection); !rejected {
		t.Error("a refusal was not rejected")
	}
}

func TestTheURLIsRequired(t *testing.T) {
	gtm.Reset()
	if _, err := gtm.Start(); err == nil {
		t.Error("the plugin starts without url")
	}
}
