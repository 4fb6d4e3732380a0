package redisstore

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts so
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed prelude.lua
var luaPrelude string

//go:embed sync.lua
var luaSync string

//go:embed replace.lua
var luaReplace string

//go:embed claim.lua
var luaClaim string

// luaClock is the store's clock: Redis's own, so that the directors' clocks do not
// matter.
const luaClock = `
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
`

// luaConstants are the constants that the scripts share with Go.
var luaConstants = fmt.Sprintf(`
local SCHEMA, LIFE, MAX_CHANGES, MAX_DOCUMENT, ASIDE_LIFE = %d, %d, %d, %d, %d
`, Schema, life.Microseconds(), maxChanges, maxDocument, asideLife.Milliseconds())

// scripts are the scripts that run in Redis.
type scripts struct{ sync, replace, claim script }

func scriptsWith(clock string) scripts {
	make := func(body string) script {
		text := luaConstants + clock + luaPrelude + body
		sum := sha1.Sum([]byte(text)) //nolint:gosec // no secret hangs on it
		return script{text, hex.EncodeToString(sum[:])}
	}
	return scripts{make(luaSync), make(luaReplace), make(luaClaim)}
}

type script struct{ text, sha1 string }

// run runs the script in one round trip, or in two if Redis does not have the script
// yet. The script's answer is always a list.
func (sc script) run(ctx context.Context, c redis.UniversalClient, keys []string, args ...any) ([]any, error) {
	reply, err := once(ctx, c, "evalsha", sc.sha1, keys, args)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		reply, err = once(ctx, c, "eval", sc.text, keys, args)
	}
	if err != nil {
		return nil, err
	}
	list, ok := reply.([]any)
	if !ok {
		return nil, errUnexpected
	}
	return list, nil
}

var errUnexpected = errors.New("the script's answer has an unexpected form")

func once(ctx context.Context, c redis.UniversalClient, command, script string, keys []string, args []any) (any, error) {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, command, script, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	cmd := onceCmd{redis.NewCmd(ctx, append(all, args...)...)}
	_ = c.Process(ctx, cmd) // cmd has the error, too
	return cmd.Result()
}

// onceCmd is a command that go-redis does not send again when it is unknown whether
// the first one arrived: an edit could then conflict with itself.
type onceCmd struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (onceCmd) NoRetry() bool { return true }
