package strictjson

import (
	"encoding/json"
	"strings"
	"testing"
)

type stamp struct {
	Why string `json:"why,omitempty"`
}

type body struct {
	stamp
	Embedded
	Plain   int
	Weights map[string]float64 `json:"weights"`
	Rows    []*row             `json:"rows"`
	Raw     json.RawMessage    `json:"raw"`
	Any     any                `json:"any"`
	Hidden  int                `json:"-"`
}

// Embedded has its fields promoted, as encoding/json has it.
type Embedded struct {
	For string `json:"for,omitempty"`
}

type row struct {
	Node string `json:"node"`
}

func TestUnmarshal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`:   "",
		`null`: "",
		`{"for":"2h","Plain":1,"weights":{"a":1,"A":2},"rows":[{"node":"x"},null],"raw":{"x":1,"X":[{"x":1}]},"any":[1,{}]}`: "",
		`{"any":"\ud83d\ude00 \\ud83d \\\\"}`:             "",
		`{"any":"ü \ufffd"}`:                              "",
		`{"for":"2h","for":"3h"}`:                         "for occurs twice",
		`{"weights":{"a":1,"b":2,"a":3}}`:                 "weights.a occurs twice",
		`{"weights":{"a":1,"\u0061":3}}`:                  "weights.a occurs twice",
		`{"rows":[{"node":"x"},{"node":"x","node":"y"}]}`: "rows[1].node occurs twice",
		`{"raw":{"x":1,"x":2}}`:                           "raw.x occurs twice",
		`{"any":[{"x":{"y":1,"y":1}}]}`:                   "any[0].x.y occurs twice",
		`{"For":"2h"}`:                                    "For: write it for",
		`{"rows":[{"Node":"x"}]}`:                         "rows[0].Node: write it node",
		`{"plain":1}`:                                     "plain: write it Plain",
		"{\"for\":\"\xff\"}":                              "byte 9 is not UTF-8",
		"{\"any\":\"\xed\xa0\x80\"}":                      "byte 9 is not UTF-8",
		`{"any":"\ud83d"}`:                                "byte 9 begins half",
		`{"any":"\ude00\ud83d"}`:                          "byte 9 begins half",
		`{"any":"\ud83d\u0041"}`:                          "byte 9 begins half",
		`{"other":1}`:                                     "unknown field",
		`{"Hidden":1}`:                                    "unknown field",
		`{"for":1}`:                                       "cannot unmarshal",
		`{} {}`:                                           "something follows",
		`{`:                                               "EOF",
		``:                                                "EOF",
		strings.Repeat("[", 20000) + strings.Repeat("]", 20000): "depth",
	} {
		var v body
		err := Unmarshal([]byte(text), &v, true)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %v, want %q", text, err, want)
		}
	}
	var v body
	if err := Unmarshal([]byte(`{"other":{"a":1},"for":"2h"}`), &v, false); err != nil || v.For != "2h" {
		t.Errorf("an unknown field where it may be: %v %+v", err, v)
	}
}

// Whatever is taken, encoding/json takes to the same end.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"for":"2h","weights":{"a":1},"rows":[{"node":"x"}],"raw":{"x":[1,{}]},"any":"\ud83d\ude00"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v, w body
		if err := Unmarshal(b, &v, true); err != nil {
			return
		}
		if err := json.Unmarshal(b, &w); err != nil {
			t.Errorf("%q is taken, and encoding/json says %v", b, err)
		}
		x, _ := json.Marshal(v)
		y, _ := json.Marshal(w)
		if string(x) != string(y) {
			t.Errorf("%q: %s, want %s", b, x, y)
		}
	})
}
