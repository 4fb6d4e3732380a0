package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/cmd/signpost/spelling"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// A Session is one command's connection to the directors. Its errors say where server
// and token were configured.
type Session struct {
	Directors
	serversBy string // in a few words: "the address is from SIGNPOST_SERVER"
	tokenBy   string // "SIGNPOST_TOKEN"; empty: no token
}

// Get asks for what is at path and reads it into v, unless v is nil.
func (s *Session) Get(ctx context.Context, path string, v any) (Answer, error) {
	return s.Do(ctx, Call{Method: http.MethodGet, Path: path}, v)
}

// Do makes a call and reads the answer into v, unless v is nil.
func (s *Session) Do(ctx context.Context, c Call, v any) (Answer, error) {
	a, err := s.Ask(ctx, c)
	if err != nil {
		return Answer{}, s.explain(err)
	}
	if v != nil {
		if err := json.Unmarshal(a.Body, v); err != nil {
			return Answer{}, fmt.Errorf("%s: the answer is not a director's: %w", s.Current(), err)
		}
	}
	return a, nil
}

// explain adds to an error what the operator can do about it.
func (s *Session) explain(err error) error {
	r := RefusalOf(err)
	var away *awayError
	switch {
	case r == nil && errors.As(err, &away):
		return err
	case r == nil:
		return fmt.Errorf("%w; is a director running there? (%s)", err, s.serversBy)
	case r.Status == http.StatusUnauthorized && s.tokenBy == "":
		return fmt.Errorf("%s asks for a token: name a file that holds one with --token-file or SIGNPOST_TOKEN_FILE", r.Director)
	case r.Status == http.StatusUnauthorized:
		return fmt.Errorf("%s does not know the token of %s", r.Director, s.tokenBy)
	case r.Status == http.StatusForbidden && s.tokenBy != "":
		return fmt.Errorf("%w; it was taken from %s", err, s.tokenBy)
	}
	return err
}

func nodePath(id string) string   { return "/api/v1/nodes/" + url.PathEscape(id) }
func regionPath(id string) string { return "/api/v1/regions/" + url.PathEscape(id) }

// whichNode proposes the node that was probably meant, if a refusal is about nodes and
// one of those named does not exist. Otherwise it returns the refusal.
func (s *Session) whichNode(ctx context.Context, refusal error, named ...string) error {
	var a api.NodesAnswer
	return s.which(ctx, refusal, "node", named, &a, func() (ids []string) {
		for _, n := range a.Nodes {
			ids = append(ids, string(n.ID))
		}
		return ids
	})
}

// whichRegion does the same for regions.
func (s *Session) whichRegion(ctx context.Context, refusal error, named ...string) error {
	var a api.RegionsAnswer
	return s.which(ctx, refusal, "region", named, &a, func() (ids []string) {
		for _, r := range a.Regions {
			ids = append(ids, string(r.ID))
		}
		return ids
	})
}

// lists are the commands that list what there is of a kind.
var lists = map[string]string{"node": "signpost nodes", "region": "signpost weights", "rule": "signpost rules"}

// hint proposes the id that was probably meant, or names all; a command names many.
func hint(id string, known []string, list string) string {
	const many = 20
	if len(known) > many && spelling.Nearest(id, known) == "" {
		return fmt.Sprintf("; `%s` shows the %d that there are", list, len(known))
	}
	return spelling.Hint(id, known)
}

func (s *Session) which(ctx context.Context, refusal error, kind string, named []string, list any, ids func() []string) error {
	r := RefusalOf(refusal)
	if r == nil || r.Status != http.StatusNotFound && r.Status != http.StatusUnprocessableEntity && r.Status != http.StatusBadRequest {
		return refusal
	}
	if _, err := s.Get(ctx, "/api/v1/"+kind+"s", list); err != nil {
		return refusal
	}
	known := ids()
	var absent []string
	for _, one := range named {
		if !slices.Contains(known, one) {
			absent = append(absent, fmt.Sprintf("no %s has the id %q%s", kind, one, hint(one, known, lists[kind])))
		}
	}
	if len(absent) == 0 {
		return refusal
	}
	return errors.New(strings.Join(absent, "; "))
}
