-- Takes what changed at one director, returns what changed at the others.
--
-- KEYS  schema, overlay, directors, changes
-- ARGV  1 id   2 JSON of the director
--       3 number of its last change that it knows to be here; 0: none
--       4 JSON of the change since then, or of all if 3 is 0; empty: no change
--       5 tag of the overlay that it has
--       then, for each other director it knows: ID, number of the last change it has
-- Returns  now, schema, outcome, number of its last change, overlay's tag,
--          revision, document (nil: it has it), others:
--          {ID, seen, first, from, JSON of the director, the changes from "from" on}
--          or {ID, the record} if no Signpost of this schema wrote that
local schema_key, overlay_key, directors, changes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, about, head, change, tag_held = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local held = {}
for i = 6, #ARGV, 2 do
  held[ARGV[i]] = tonumber(ARGV[i + 1])
end

local now = clock()
local schema, writable = schema_at(schema_key)

-- Lua's own conversion to text keeps 14 digits.
local function field(who, number)
  return string.format('%.0f %s', number, who)
end

local function fields(who, from, to)
  local names = {}
  for number = from, to do
    names[#names + 1] = field(who, number)
  end
  return names
end

local function write_record(who, seen, first, last, json)
  redis.call('HSET', directors, who, string.format('%.0f %.0f %.0f %s', seen, first, last, json))
end

local others = {}
local first, last
local records = redis.call('HGETALL', directors)
for i = 1, #records, 2 do
  local who = records[i]
  local seen, a, b, json = string.match(records[i + 1], '^(%d+) (%d+) (%d+) (.*)$')
  seen, a, b = tonumber(seen), tonumber(a), tonumber(b)
  local sound = seen and a <= b and b - a < MAX_CHANGES
  if not sound then
    if who ~= id then
      others[#others + 1] = {who, records[i + 1]}
    end
  elseif who == id then
    first, last = a, b
  elseif now - seen > LIFE then
    if writable then
      redis.call('HDEL', directors, who)
      redis.call('HDEL', changes, unpack(fields(who, a, b)))
    end
  else
    if seen > now then -- the clock was set back
      seen = now
      if writable then
        write_record(who, seen, a, b, json)
      end
    end
    local from = a
    if held[who] and held[who] >= a and held[who] <= b then
      from = held[who] + 1
    end
    local other = {who, seen, a, from, json}
    if from <= b then
      for _, value in ipairs(redis.call('HMGET', changes, unpack(fields(who, from, b)))) do
        other[#other + 1] = value
      end
    end
    others[#others + 1] = other
  end
end

local outcome = 'kept'
if not writable then
  outcome = 'newer'
elseif head == 0 then
  local number = math.max(now, (last or 0) + 1) -- no number comes again, even after everything was lost
  redis.call('HSET', changes, field(id, number), change)
  if last then
    redis.call('HDEL', changes, unpack(fields(id, first, last)))
  end
  first, last = number, number
elseif last ~= head or last + 1 - first >= MAX_CHANGES or redis.call('HEXISTS', changes, field(id, first)) == 0 then
  outcome = 'all' -- send all you have
elseif change ~= '' then
  last = last + 1
  redis.call('HSET', changes, field(id, last), change)
end
if outcome == 'kept' then
  write_record(id, now, first, last, about)
  redis.call('PEXPIRE', directors, LIFE / 1000)
  redis.call('PEXPIRE', changes, LIFE / 1000)
end

local tag, revision, size = overlay_at(overlay_key)
local document = false
if tag ~= tag_held and size <= MAX_DOCUMENT then
  document = redis.call('HGET', overlay_key, 'document')
end
return {now, schema, outcome, last or 0, tag, revision, document, others}
