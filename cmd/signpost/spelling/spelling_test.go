package spelling

import (
	"fmt"
	"strings"
	"testing"
)

func TestHint(t *testing.T) {
	t.Parallel()
	known := []string{"id", "match", "weights", "overflow", "deny"}
	for word, want := range map[string]string{
		"weihgts":  "; did you mean \"weights\"?",
		"Weights":  "; did you mean \"weights\"?",
		"wieght":   "; did you mean \"weights\"?",
		"overlow":  "; did you mean \"overflow\"?",
		"listener": "; known here: id, match, weights, overflow, deny",
		"":         "; known here: id, match, weights, overflow, deny",
	} {
		if got := Hint(word, known); got != want {
			t.Errorf("Hint(%q) = %s, want %s", word, got, want)
		}
	}
	if got := Hint("word", nil); got != "" {
		t.Errorf("of nothing: %s", got)
	}
	if got := Hint("fra1", []string{"FRA1", "AMS1"}); got != "; did you mean \"FRA1\"?" {
		t.Errorf("of upper case: %s", got)
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("one-of-many-keys-%d", i))
	}
	if got := Hint("x", many); !strings.HasSuffix(got, "keys-98, one-of-many-keys-99") {
		t.Errorf("a list that is not whole hides what is looked for: %s", got)
	}
}
