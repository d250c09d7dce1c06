package gtm

import (
	"testing"
	"time"
)

func document(t *testing.T) Document {
	bytes, err := D{
		{"text", "ü"}, {"n", 3}, {"x", 0.5}, {"yes", true}, {"at", time.UnixMilli(-1)}, {"none", nil},
		{"in", D{{"list", []any{"a", D{{"deep", "b"}}}}}}, {"bytes", []byte{1}},
	}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	read, err := Read(bytes)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	read := document(t)
	if text, ok := read.Text("text"); !ok || text != "ü" {
		t.Error(text, ok)
	}
	if text, ok := read.Text("in", "list", "1", "deep"); !ok || text != "b" {
		t.Error(text, ok)
	}
	if _, ok := read.Text("n"); ok {
		t.Error("a number was read as text")
	}
	n, _ := read.Get("n")
	if n, ok := n.Int64(); !ok || n != 3 {
		t.Error(n, ok)
	}
	at, _ := read.Get("at")
	if at, ok := at.Time(); !ok || at.UnixMilli() != -1 {
		t.Error(at, ok)
	}
	if _, ok := read.Get("nothing"); ok {
		t.Error("there is nothing")
	}
}

func FuzzNoBytesPanic(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{5, 0, 0, 0, 0})
	f.Add([]byte{255, 255, 255, 255, 0})
	bytes, _ := D{{"a", D{{"b", []any{"c", 1}}}}}.Bytes()
	f.Add(bytes)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		read, err := Read(bytes)
		if err != nil {
			return
		}
		for name, value := range read.All() {
			value.Text()
			value.Document()
			read.Get(name, "0")
		}
	})
}

func TestAFieldOfAnotherTypeIsNamed(t *testing.T) {
	bytes, _ := D{{"email", D{{"home", "x"}}}, {"n", 1}}.Bytes()
	document, _ := Read(bytes)
	for _, one := range []struct {
		path []string
		said string
	}{
		{[]string{"email"}, "email: expected a string, found an object"},
		{[]string{"email", "work"}, "email.work: expected a string, found nothing"},
		{[]string{"n"}, "n: expected a string, found an integer"},
	} {
		_, err := document.Required().Text(one.path...)
		if _, rejected := err.(*Rejection); !rejected || err.Error() != one.said {
			t.Error(err)
		}
	}
	if text, err := document.Required().Text("email", "home"); text != "x" || err != nil {
		t.Error(text, err)
	}
}

func TestThePluginsOwnLinesAreToldFromThoseOfLibraries(t *testing.T) {
	for name, own := range map[string]bool{"main": true, "shop": true, "shop/mails": true, "shop/gtm": false, "strings": false, "runtime": false} {
		if isPlugins(name, "shop/gtm") != own {
			t.Error(name)
		}
	}
	if packageOf("shop/gtm.outcome.func1") != "shop/gtm" || packageOf("main.greet") != "main" {
		t.Error(packageOf("shop/gtm.outcome.func1"), packageOf("main.greet"))
	}
}
