package main

import (
	"testing"

	"welcome/gtm"
)

func TestAnOrderIsAddedToItsDay(t *testing.T) {
	gtm.Reset()
	op := gtm.NewInsert("shop", "orders", gtm.D{{"total", 120}})
	if wanted, err := gtm.Run(op); !wanted || err != nil {
		t.Fatal(wanted, err)
	}
	write := gtm.Testing.Writes[0]
	day, _ := write.Filter.Text("_id")
	if write.Namespace != "shop.daily_totals" || len(day) != len("2026-01-31") {
		t.Error(write.Namespace, day)
	}
	if id, _ := write.Filter.Text("counted", "$ne"); id != op.ID {
		t.Error(id)
	}
	if sum, err := write.Documents[0].Required().Float64("$inc", "sum"); sum != 120 {
		t.Error(sum, err)
	}
}

func TestTheCollectionAndTheFieldCanBeSet(t *testing.T) {
	gtm.Reset()
	gtm.Testing.Config["target"], gtm.Testing.Config["field"] = "a.sums", "price"
	if _, err := gtm.Run(gtm.NewInsert("shop", "orders", gtm.D{{"price", 2.5}})); err != nil {
		t.Fatal(err)
	}
	if namespace := gtm.Testing.Writes[0].Namespace; namespace != "a.sums" {
		t.Error(namespace)
	}
}

func TestAnOrderWithoutANumberIsRejected(t *testing.T) {
	gtm.Reset()
	_, err := gtm.Run(gtm.NewInsert("shop", "orders", gtm.D{{"total", "much"}}))
	if _, rejected := err.(*gtm.Rejection); !rejected {
		t.Error(err)
	}
}
