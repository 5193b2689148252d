package plainjson_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mintmark/mintmark/internal/plainjson"
)

// read is an object as it is read here.
type read struct {
	Text   string   `json:"text"`
	Number int64    `json:"number"`
	List   []string `json:"list"`
	None   any      `json:"none"`
}

var names = []string{"text", "number", "list", "none"}

func readPlain(text string) (got read, ok bool) {
	r := plainjson.NewReader(text)
	r.Object(names, func(place int) {
		switch names[place] {
		case "text":
			got.Text = r.String()
		case "number":
			got.Number = r.Number()
		case "list":
			got.List = r.Strings()
		case "none":
			r.MustNull()
		}
	})
	return got, r.Done()
}

// TestReader tells the plainest kind of JSON from all other.
func TestReader(t *testing.T) {
	for text, plain := range map[string]bool{
		`{}`:          true,
		` { } `:       true,
		`{"text":""}`: true,
		"\t{\"text\" :\r\n\"a b\" , \"number\":7,\"list\":[\"x\" , \"y\"],\"none\":null}": true,
		`{"list":[]}`:                 true,
		`{"number":999999999999999}`:  true,
		`{"number":1000000000000000}`: false,
		`{"number":0}`:                false,
		`{"number":-1}`:               false,
		`{"number":1.0}`:              false,
		`{"number":1e3}`:              false,
		`{"number":"1"}`:              false,
		`{"text":"\u0061"}`:           false,
		`{"text":"ä"}`:                false,
		"{\"text\":\"\x00\"}":         false,
		"{\"text\":\"\x7f\"}":         false,
		`{"text":null}`:               false,
		`{"text":"a","text":"a"}`:     false,
		`{"Text":"a"}`:                false,
		`{"other":"a"}`:               false,
		`{"text":"a",}`:               false,
		`{,"text":"a"}`:               false,
		`{"text":"a" "number":1}`:     false,
		`{"text" "a"}`:                false,
		`{"list":["a",]}`:             false,
		`{"list":["a" "b"]}`:          false,
		`{"list":["a"`:                false,
		`{"list":null}`:               false,
		`{"none":nul}`:                false,
		`{"none":{}}`:                 false,
		`{"text":"a"`:                 false,
		`{"text":"a`:                  false,
		`{}{}`:                        false,
		"{}\x00":                      false,
		``:                            false,
		`[]`:                          false,
		`null`:                        false,
	} {
		if _, ok := readPlain(text); ok != plain {
			t.Errorf("%q: read is %t, want %t", text, ok, plain)
		}
	}
}

// TestText reads one member of objects that have others.
func TestText(t *testing.T) {
	for object, want := range map[string]string{
		`{"iss":"a"}`: "a", `{}`: "", `{"aud":"b"}`: "",
		`{"aud":["b",{"c":[null,true,false]}],"n":0,"exp":1700000000,"iss":"a","kubernetes.io":{"pod":{"name":"p"}}}`: "a",
		`{"iss":"a","iss":"b"}`: "-", `{"iss":"a","ISS":"b"}`: "-", `{"Iss":"b"}`: "-", `{"i\u0073s":"b"}`: "-", `{"iss":null}`: "-", `{"iss":1}`: "-",
		`{"n":01,"iss":"a"}`: "-", `{"n":-1,"iss":"a"}`: "-", `{"n":1.5,"iss":"a"}`: "-", `{"n":tru,"iss":"a"}`: "-", `{"n":[[[[[[[[1]]]]]]]],"iss":"a"}`: "-",
		`{"iss":"a"`: "-", `{"iss":"a"}}`: "-", `{"n":[1,],"iss":"a"}`: "-", `{"n":{"a":1,},"iss":"a"}`: "-", `["iss","a"]`: "-", ``: "-",
	} {
		if got, ok := plainjson.Text(object, "iss"); !ok && want != "-" || ok && got != want {
			t.Errorf("%s: read %q, %t, want %q", object, got, ok, want)
		}
	}
}

// FuzzText: what is read of a member is what encoding/json reads.
func FuzzText(f *testing.F) {
	f.Add(`{"iss":"a","aud":["b"],"exp":7,"kubernetes.io":{"pod":{"name":"p"},"x":null}}`)
	f.Add(`{"iſs":"a","n":0}`)
	f.Fuzz(func(t *testing.T, object string) {
		got, ok := plainjson.Text(object, "iss")
		if !ok {
			return
		}
		var want struct {
			Issuer string `json:"iss"`
		}
		if err := json.Unmarshal([]byte(object), &want); err != nil || got != want.Issuer {
			t.Fatalf("read %q, want %q (%v)", got, want.Issuer, err)
		}
	})
}

// TestEveryByte has each byte at each place in a string: strings are looked through in words, and then byte by byte.
func TestEveryByte(t *testing.T) {
	for place := range 18 {
		for b := range 256 {
			text := []byte("abcdefghijklmnopqr")
			text[place] = byte(b)
			plain := ' ' <= b && b <= '~' && b != '"' && b != '\\'
			if got, ok := readPlain(`{"text":"` + string(text) + `"}`); ok != plain || ok && got.Text != string(text) {
				t.Errorf("byte %#x at %d: read %q, %t", b, place, got.Text, ok)
			}
			want, err := json.Marshal(string(text))
			if err != nil {
				t.Fatal(err)
			}
			var w plainjson.Writer
			if w.String(string(text)); string(w) != string(want) {
				t.Errorf("byte %#x at %d: written as %s, want %s", b, place, w, want)
			}
		}
	}
}

// FuzzReader: what is read here is what encoding/json reads.
func FuzzReader(f *testing.F) {
	f.Add(`{"text":"a b","number":7,"list":["x","y"],"none":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := readPlain(text)
		if !ok {
			return
		}
		var want read
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("read, and refused: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzWriter: what is written here is what encoding/json writes.
func FuzzWriter(f *testing.F) {
	f.Add("plain", int64(7))
	f.Add("<b>\"\\&\u2028ä\xff\x00", int64(-1))
	f.Fuzz(func(t *testing.T, text string, number int64) {
		want, err := json.Marshal(struct {
			Text   string   `json:"text,omitempty"`
			Number int64    `json:"number"`
			List   []string `json:"list"`
			More   []string `json:"more,omitempty"`
		}{
			Text:   text,
			Number: number,
			List:   []string{text, "b"},
			More:   []string{text},
		})
		if err != nil {
			t.Fatal(err)
		}
		var w plainjson.Writer
		w.Raw("{")
		w.Member("text", text)
		w.Name("number")
		w.Int(number)
		w.Name("list")
		w.List([]string{text, "b"})
		w.Members("more", []string{text})
		w.Members("none", nil)
		w.Raw("}")
		if diff := cmp.Diff(string(want), string(w)); diff != "" {
			t.Error(diff)
		}
	})
}
