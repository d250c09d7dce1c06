// Adds up the orders of each day: for each order that is inserted into shop.orders, it updates the sum of its day.
package main

import (
	"time"

	"welcome/gtm"
)

var target, field string

func init() {
	gtm.Register(gtm.Plugin{
		Settings: []gtm.Setting{
			{Name: "target", Default: "shop.daily_totals", Doc: "The collection of the sums."},
			{Name: "field", Default: "total", Doc: "The field of an order that is added up."},
		},
		Init:          readSettings,
		Subscriptions: []gtm.Subscription{{Namespace: "shop.orders", Operations: []gtm.OperationType{gtm.Insert}}},
		Handle:        add,
	})
}

func main() {}

func readSettings() ([]gtm.Subscription, error) {
	target, _ = gtm.Config("target")
	field, _ = gtm.Config("field")
	return nil, nil
}

func add(op *gtm.Op) error {
	order, err := op.Document()
	if err != nil {
		return err
	}
	amount, err := order.Required().Float64(field)
	if err != nil {
		return err
	}
	day := time.Unix(int64(op.Seconds), 0).UTC().Format("2006-01-02")

	sums := gtm.Collection(target)
	// An op that is delivered again is in the list already.
	uncounted := gtm.D{{"_id", day}, {"counted", gtm.D{{"$ne", op.ID}}}}
	change := gtm.D{
		{"$inc", gtm.D{{"orders", 1}, {"sum", amount}}},
		{"$push", gtm.D{{"counted", gtm.D{{"$each", []any{op.ID}}, {"$slice", -1000}}}}},
	}
	if result, err := sums.Update(uncounted, change, gtm.UpdateOptions{}); err != nil || result.MatchedCount > 0 {
		return err
	}
	// It was counted before, or it is the first one of its day.
	first := gtm.D{{"$setOnInsert", gtm.D{{"orders", 0}, {"sum", 0}}}}
	// A conflict: another order of the day came first.
	if _, err := sums.Update(gtm.D{{"_id", day}}, first, gtm.UpdateOptions{Upsert: true}); err != nil && !gtm.IsConflict(err) {
		return err
	}
	_, err = sums.Update(uncounted, change, gtm.UpdateOptions{})
	return err
}
