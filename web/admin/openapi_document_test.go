package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// An operation is what the document says of a route, besides what it knows from
// the types.
type operation struct {
	path    string // "GET /nodes/{id}", below /api/v1
	summary string
	roles   string // who may, besides operators; empty: everybody
	query   string // parameters, "name: what it is", one a line
	header  string // a header, in the form of query
	match   string // whether it takes If-Match: "may" or "must"
	body    any    // nil: none
	loose   bool   // unknown fields of the body are passed over
	answer  any    // nil: none
	type_   string // of the answer; empty: JSON
	also    any    // the answer with another status, such as 409, where that is not a problem
	codes   []int  // the one of success first
}

const (
	thresholdParam = "threshold: How many listeners may be left on a node that is safe to terminate; by default admin.safe_below."
	instanceParam  = "instance: Which run of the agent asks. An operator leaves it out."
	secretParam    = "Signpost-Agent-Secret: What only the agent knows, 16 to 128 bytes, with every call: who registers a node with one is the only agent that can speak for it."
	explainParams  = "addr: The listener's address.\nmount: What it asks for, such as /live.mp3, or the whole URL with its query.\n" +
		"ua: Its User-Agent.\ntls: Whether it comes by https.\nheader: A further header as Name: value; may be repeated."
	plotParams = "by: Of what: total, node, region, mount or answer; total, if absent.\nspan: hour, day or week; hour, if absent.\n" +
		"name: Only the series of this name; may be repeated.\nmost: How many series are told one by one; the others are summed up. 6, if absent.\n" +
		"points: How many values of each series are enough: means over longer steps."
	dnsParams = "name: The name that it asks for, such as a.live.radio.example.\ntype: A or AAAA; A, if absent.\n" +
		"resolver: The resolver's address.\nsubnet: The network for which it says to ask, such as 203.0.113.0/24."
)

// operations is every operation of the API.
var operations = []operation{
	{path: "GET /openapi.json", summary: "This document.", answer: map[string]any{}, codes: []int{200}},
	{path: "POST /session", summary: "Log a browser in: a cookie for a token.", body: api.Login{}, codes: []int{204, 400, 401, 403, 413, 429}},
	{path: "DELETE /session", summary: "Log a browser out.", codes: []int{204}},
	{path: "GET /session", summary: "Who asks.", roles: "view", answer: api.Identity{}, codes: []int{200}},
	{path: "GET /explain", summary: "Where a listener would be sent, and why, with every node's numbers.", roles: "view", query: explainParams, answer: map[string]any{}, codes: []int{200, 400}},
	{path: "GET /explain/dns", summary: "What a resolver would be answered for a name, and why, with every node's numbers.", roles: "view", query: dnsParams, answer: map[string]any{}, codes: []int{200, 400}},
	{path: "GET /streams", summary: "The streams that this director sends inline.", roles: "view", answer: map[string]any{}, codes: []int{200}},
	{path: "GET /certificates/{name}", summary: "A certificate of the directors with its private key, for a node that answers at that name. By https or on the same machine; the token names it.", roles: "agent", answer: api.Bundle{}, codes: []int{200, 400, 403, 404, 426}},
	{path: "GET /status", summary: "How this director is doing.", roles: "view", answer: api.StatusAnswer{}, codes: []int{200}},
	{path: "GET /reserve", summary: "How many listeners would be turned away if a node or a site died now.", roles: "view", answer: api.ReserveAnswer{}, codes: []int{200, 503}},
	{path: "GET /mounts", summary: "All mounts, with what plays.", roles: "view", answer: api.MountsAnswer{}, codes: []int{200, 503}},
	{path: "GET /plots", summary: "Listeners over the last hour, day or week.", roles: "view", query: plotParams, answer: api.PlotsAnswer{}, codes: []int{200, 400}},
	{path: "GET /events", summary: "What happens, as server-sent events: hello, nodes, status, mounts and overlay (the operators' changes) at once, and from then on what has changed; traffic every second.", roles: "view", answer: "", type_: "text/event-stream", codes: []int{200, 503}},

	{path: "GET /nodes", summary: "All nodes, declared and registered.", roles: "view", answer: api.NodesAnswer{}, codes: []int{200, 503}},
	{path: "GET /nodes/{id}", summary: "One node; an agent sees its own.", roles: "view agent", query: thresholdParam, answer: api.Node{}, codes: []int{200, 400, 404, 503}},
	{path: "GET /nodes/{id}/detail", summary: "All that is known of one node: its mounts, and how each director sees it.", roles: "view", answer: api.NodeDetail{}, codes: []int{200, 404, 503}},
	{path: "GET /nodes/{id}/safe_to_terminate", summary: "Whether a node may be terminated: 200 if it is drained and empty, 409 if not.", roles: "view agent", query: thresholdParam, answer: api.Termination{}, also: api.Termination{}, codes: []int{200, 400, 404, 409, 503}},
	{path: "PUT /nodes/{id}", summary: "Register a node, or report how it is; for agents.", roles: "agent", header: secretParam, body: api.Announcement{}, loose: true, answer: api.Node{}, codes: []int{200, 400, 404, 409, 413, 422, 503}},
	{path: "DELETE /nodes/{id}", summary: "Take a registered node out.", roles: "agent", query: instanceParam, header: secretParam, codes: []int{204, 400, 404, 409, 422}},
	{path: "POST /nodes/{id}/drain", summary: "Take no new listeners to a node. An agent does so for good, with its instance; an operator until it is resumed, or for a time.", roles: "agent", header: secretParam, match: "may", body: api.NodeEdit{}, answer: api.Node{}, codes: []int{200, 400, 404, 409, 412, 413, 422, 503}},
	{path: "POST /nodes/{id}/disable", summary: "Take no new listeners to a node, and do not probe it.", roles: "operate", match: "may", body: api.NodeEdit{}, answer: api.Node{}, codes: []int{200, 400, 404, 412, 413, 422, 503}},
	{path: "POST /nodes/{id}/resume", summary: "Take back what operators made of a node.", roles: "operate", match: "may", body: api.NodeEdit{}, answer: api.Node{}, codes: []int{200, 400, 404, 409, 412, 413, 422, 503}},

	{path: "GET /regions", summary: "All regions, with their rows of weights.", roles: "view", answer: api.RegionsAnswer{}, codes: []int{200, 503}},
	{path: "GET /regions/{id}", summary: "One region.", roles: "view", answer: api.Region{}, codes: []int{200, 404, 503}},
	{path: "PUT /regions/{id}/weights", summary: "Replace a region's row of weights.", roles: "operate", match: "must", body: api.RowEdit{}, answer: api.Region{}, codes: []int{200, 400, 404, 412, 413, 422, 428, 503}},
	{path: "DELETE /regions/{id}/weights", summary: "Go back to the file's row.", roles: "operate", match: "must", body: api.Edit{}, answer: api.Region{}, codes: []int{200, 400, 404, 412, 413, 422, 428, 503}},
	{path: "PUT /regions/{id}/overflow", summary: "Replace the regions that a region overflows into, in order. The version is overflow_version.", roles: "operate", match: "must", body: api.OverflowEdit{}, answer: api.Region{}, codes: []int{200, 400, 404, 412, 413, 422, 428, 503}},
	{path: "DELETE /regions/{id}/overflow", summary: "Go back to the file's overflow.", roles: "operate", match: "must", body: api.Edit{}, answer: api.Region{}, codes: []int{200, 400, 404, 412, 413, 422, 428, 503}},
	{path: "PUT /weights", summary: "Replace several rows and overflows in one revision: all of them, or none.", roles: "operate", body: api.RowsEdit{}, answer: api.RegionsAnswer{}, codes: []int{200, 400, 404, 412, 413, 422, 428, 503}},
	{path: "POST /whatif", summary: "What would become of the listeners that are there now; nothing is changed.", roles: "view", body: api.WhatIfQuestion{}, answer: api.WhatIfAnswer{}, codes: []int{200, 400, 413, 422, 503}},
	{path: "POST /whatif/simulation", summary: "Play it through from the present state on: lines of JSON, with the progress twice a second and the report in the last one. A director plays one at a time, on what its listeners leave of the machine, and ends it when the caller leaves.", roles: "operate", body: api.SimulationQuestion{}, answer: api.SimulationLine{}, type_: "application/x-ndjson", codes: []int{200, 400, 409, 413, 422, 503}},

	{path: "GET /rules", summary: "All client rules in order of precedence, with how often each held.", roles: "view", answer: api.RulesAnswer{}, codes: []int{200}},
	{path: "POST /rules", summary: "Make a client rule.", roles: "operate", body: api.RuleEdit{}, answer: api.Rule{}, codes: []int{201, 400, 409, 413, 422, 503}},
	{path: "GET /rules/{id}", summary: "One operator's rule.", roles: "view", answer: api.Rule{}, codes: []int{200, 404}},
	{path: "PUT /rules/{id}", summary: "Change an operator's rule, or with before move it.", roles: "operate", match: "must", body: api.RuleEdit{}, answer: api.Rule{}, codes: []int{200, 400, 404, 412, 413, 422, 428, 503}},
	{path: "DELETE /rules/{id}", summary: "Take an operator's rule out.", roles: "operate", match: "must", body: api.Edit{}, codes: []int{204, 400, 404, 412, 413, 422, 428, 503}},
	{path: "GET /clients", summary: "Clients for which there is no rule, and whether they seem unable to follow redirects.", roles: "view", answer: api.ClientsAnswer{}, codes: []int{200}},

	{path: "GET /overlay", summary: "Everything that operators changed, as directors share it, and what became of it.", roles: "view", answer: api.OverlayAnswer{}, codes: []int{200}},
	{path: "GET /history", summary: "What operators changed, the newest first.", roles: "view", answer: api.HistoryAnswer{}, codes: []int{200}},
	{path: "POST /history/{revision}/undo", summary: "Take a change back.", roles: "operate", body: api.UndoEdit{}, answer: api.Change{}, codes: []int{200, 400, 404, 409, 413, 422, 503}},
	{path: "PUT /notes/{id}", summary: "Write a note for other operators.", roles: "operate", match: "may", body: api.NoteEdit{}, answer: store.Note{}, codes: []int{200, 400, 409, 412, 413, 422, 503}},
	{path: "DELETE /notes/{id}", summary: "Take a note out.", roles: "operate", match: "may", body: api.Edit{}, codes: []int{204, 400, 404, 412, 413, 422, 503}},
}

// object is a JSON object; encoding/json sorts its keys.
type object = map[string]any

// TestOpenAPIDocument makes openapi.json, and fails when it is stale.
func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(describeAPI(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return // it is embedded at the next build
	}
	if diff := cmp.Diff(want.String(), string(openapiDocument)); diff != "" {
		t.Errorf("stale; run go generate ./web/admin (-from the code +the document):\n%s", diff)
	}
}

func describeAPI(t *testing.T) object {
	s := &schemas{comments: comments(t), all: object{}}
	problem := object{"description": "What is wrong, as RFC 9457 has it.", "content": object{"application/problem+json": object{"schema": s.of(reflect.TypeFor[api.Problem]())}}}
	paths := object{}
	for _, op := range operations {
		method, path, _ := strings.Cut(op.path, " ")
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path].(object)[strings.ToLower(method)] = op.describe(s)
	}
	return object{
		"openapi": "3.0.3",
		"info": object{
			"title": "Signpost", "version": "1",
			"description": "The operators' side of a director. Times are by the store's clock, in UTC. Edits say which version was seen, with If-Match; a stale one is answered 412, with what stands there now. Every edit answers with the header " + revisionHeader + ", the revision that it made and that undo takes, unless nothing was changed, or too much for the history, and with " + forgetsHeader + ", if the director forgets the edit when it stops. x-roles are the roles that may.",
		},
		"servers": []any{object{"url": "/api/v1"}},
		"paths":   paths,
		"components": object{
			"schemas":   s.all,
			"responses": object{"Problem": problem},
			"securitySchemes": object{
				"token":   object{"type": "http", "scheme": "bearer", "description": "One of admin.tokens_file. Where no token is set, nobody is asked."},
				"session": object{"type": "apiKey", "in": "cookie", "name": sessionCookie},
			},
		},
	}
}

var pathParam = regexp.MustCompile(`\{(\w+)\}`)

func (op *operation) describe(s *schemas) object {
	out := object{"summary": op.summary, "operationId": strings.Trim(regexp.MustCompile(`[^A-Za-z]+`).ReplaceAllString(strings.ToLower(op.path), "_"), "_")}
	var params []any
	for _, m := range pathParam.FindAllStringSubmatch(op.path, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, line := range strings.Split(op.query, "\n") {
		if name, text, ok := strings.Cut(line, ": "); ok {
			several := strings.HasSuffix(text, "may be repeated.") && name == "name"
			schema := object{"type": "string"}
			if name == "header" || several {
				schema = object{"type": "array", "items": schema}
			}
			params = append(params, object{"name": name, "in": "query", "description": text, "schema": schema, "required": name == "addr" || name == "mount" || name == "name" && !several})
		}
	}
	if name, text, ok := strings.Cut(op.header, ": "); ok {
		params = append(params, object{"name": name, "in": "header", "description": text, "schema": object{"type": "string"}, "required": false})
	}
	codes := op.codes
	if op.match != "" {
		params = append(params, object{"name": "If-Match", "in": "header", "required": false, "schema": object{"type": "string"},
			"description": map[string]string{"may": "The version that was seen, in quotes; without it, whatever stands there is overwritten.", "must": "The version that was seen, in quotes. Without it the answer is 428."}[op.match]})
	}
	if params != nil {
		out["parameters"] = params
	}
	if op.roles != "" {
		out["security"] = []any{object{"token": []any{}}, object{"session": []any{}}}
		roles := strings.Fields(op.roles)
		if !slices.Contains(roles, string(api.RoleOperate)) {
			roles = append(roles, string(api.RoleOperate))
		}
		out["x-roles"] = roles
		codes = append(codes[:len(codes):len(codes)], 401, 403, 429)
	} else {
		out["security"] = []any{}
	}
	if op.body != nil {
		schema := s.of(reflect.TypeOf(op.body))
		required := !reflect.DeepEqual(s.required(reflect.TypeOf(op.body)), []string(nil))
		out["requestBody"] = object{"required": required, "content": object{"application/json": object{"schema": schema}}}
		if !op.loose {
			s.strict(reflect.TypeOf(op.body))
		}
	}
	responses := object{}
	for i, code := range codes {
		switch {
		case i > 0 && code == 409 && op.also != nil:
			responses[strconv.Itoa(code)] = object{"description": "Not yet.", "content": content(op, s.of(reflect.TypeOf(op.also)))}
		case i > 0:
			responses[strconv.Itoa(code)] = object{"$ref": "#/components/responses/Problem"}
		case op.answer == nil:
			responses[strconv.Itoa(code)] = object{"description": "Done."}
		default:
			responses[strconv.Itoa(code)] = object{"description": "The answer.", "content": content(op, s.of(reflect.TypeOf(op.answer)))}
		}
	}
	out["responses"] = responses
	return out
}

func content(op *operation, schema any) object {
	mediaType := "application/json"
	if op.type_ != "" {
		mediaType = op.type_
	}
	return object{mediaType: object{"schema": schema}}
}

// knownWords are the closed sets of words.
var knownWords = map[reflect.Type][]string{
	reflect.TypeFor[api.Role]():         {string(api.RoleAgent), string(api.RoleView), string(api.RoleOperate)},
	reflect.TypeFor[director.Health]():  {"unknown", "up", "down"},
	reflect.TypeFor[store.EffectKind](): {string(store.Masks), string(store.Dormant), string(store.Skipped)},
}
