package store

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// TestRegistrationIsANode: whatever a registration says of its node by the name of a node's
// field is in the fleet.
func TestRegistrationIsANode(t *testing.T) {
	t.Parallel()
	r := Registration{
		Node: "n", URLs: []string{"http://n.example"}, InternalURL: "http://10.0.0.1", Site: "fra",
		Place:  director.Place{Country: director.Code{'D', 'E'}},
		Target: 1, Limit: 2, MaxNewPerS: 3, Pace: director.PaceHold, Drained: time.Unix(1, 0),
		Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
	}
	node, said := reflect.ValueOf(r.node()), reflect.ValueOf(r)
	for i := range node.NumField() {
		name := node.Type().Field(i).Name
		field := said.FieldByName(name)
		if !field.IsValid() || field.Type() != node.Field(i).Type() {
			continue
		}
		if field.IsZero() {
			t.Errorf("%s is not in this test's registration: name it", name)
		}
		if !reflect.DeepEqual(field.Interface(), node.Field(i).Interface()) {
			t.Errorf("%s: %v in the registration, %v in the fleet", name, field, node.Field(i))
		}
	}
	if n := r.node(); n.ID != "n" || !n.Drained {
		t.Errorf("%+v", n)
	}
}
