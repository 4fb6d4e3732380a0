-- What both scripts begin with, after the constants and clock(), in µs.

-- Returns what stands in the schema's key, and whether we may write. Numbers in
-- values of unknown origin are matched first: tonumber also takes 'nan'.
local function schema_at(key)
  local text = redis.call('GET', key) or ''
  local version = tonumber(string.match(text, '^%d+$')) or 0
  if version < SCHEMA then
    redis.call('SET', key, SCHEMA)
  end
  return text, version <= SCHEMA
end

-- Returns what tells one overlay from another, and its revision as it stands
-- there. The length is part of it, so that most damage is seen, too.
local function overlay_at(key)
  local o = redis.call('HMGET', key, 'revision', 'sha1')
  local size = redis.call('HSTRLEN', key, 'document')
  return (o[1] or '') .. ' ' .. (o[2] or '') .. ' ' .. size, o[1] or '', size
end
