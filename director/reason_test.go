package director

import "testing"

func TestReasonsReadWhatTheyWrite(t *testing.T) {
	t.Parallel()
	for r := range Reason(numReasons) {
		text, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got Reason
		if err := got.UnmarshalText(text); err != nil || got != r {
			t.Errorf("%s reads %v, %v", text, got, err)
		}
	}
	var got Reason
	if err := got.UnmarshalText([]byte("a reason of tomorrow")); err != nil || got.String() != "unknown" {
		t.Errorf("a name that is not known reads %v, %v", got, err)
	}
}
