package dashboard

import "time"

// NumbersAsWritten is a sample of how the server writes numbers, for the test that
// the browser writes them in the same way.
func NumbersAsWritten() []string {
	out := []string{
		count(0), count(1234567), mbit(0), mbit(1540), mbit(99949), mbit(99950), mbit(1234567), percent(0), percent(.004), percent(.126), percent(1),
	}
	begin := time.Unix(0, 0)
	for _, s := range []int{0, 9, 10, 59, 60, 3599, 3600, 86399, 86400, 864000} {
		out = append(out, ago(begin, begin.Add(time.Duration(s)*time.Second)))
	}
	return out
}
