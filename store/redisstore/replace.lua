-- Replaces the overlay, if the revision that stands allows it.
--
-- KEYS  schema, overlay, aside
-- ARGV  1 the revision that must stand; empty: any that is lower than 2
--       2 the new revision   3 the new document
--       4 tag of an overlay that cannot be read and counts as none; may be empty
--       5 the channel
-- Returns  outcome, the revision that stands
local overlay, aside = KEYS[2], KEYS[3]
local at, revision, document, unreadable, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local _, writable = schema_at(KEYS[1])
if not writable then
  return {'newer', ''}
end
local tag, text = overlay_at(overlay)
local stands = tonumber(string.match(text, '^%d+$'))
local rubbish = tag == unreadable or (not stands and redis.call('EXISTS', overlay) == 1)
if rubbish or not stands then
  stands = 0
end
if (at ~= '' and stands ~= tonumber(at)) or (at == '' and stands >= tonumber(revision)) then
  return {'stands', string.format('%.0f', stands)}
end
if rubbish then
  redis.call('RENAME', overlay, aside)
  redis.call('PEXPIRE', aside, ASIDE_LIFE)
end
redis.call('HSET', overlay, 'revision', revision, 'sha1', redis.sha1hex(document), 'document', document)
redis.pcall('PUBLISH', channel, revision) -- a hint: an ACL that forbids it must not refuse the edit
return {'done', revision}
