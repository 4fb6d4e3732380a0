-- Gives a lease to a holder, or ends it, unless another one has it.
--
-- KEYS  the lease
-- ARGV  1 the holder   2 the lease's length in ms; 0: it ends
-- Returns  1 if that was done, 0 if another holder has it
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then
  return {0}
end
if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
else
  redis.call('PEXPIRE', KEYS[1], 0)
end
return {1}
