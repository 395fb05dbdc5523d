#!lua flags=allow-oom
local counter, life, mode = KEYS[1], ARGV[1], ARGV[2]
if life ~= '' then
  if redis.call('HEXISTS', counter, life) == 0 then redis.call('DEL', counter) end
  redis.call('HINCRBY', counter, life, 1)
end
local kept = {}
for _, key in ipairs(KEYS) do
  local dump = redis.call('DUMP', key)
  if dump then
    local left = redis.call('PTTL', key)
    if left < 0 then left = 0 else left = math.max(left, 1) end
    redis.call('RESTORE', key, left, dump, 'REPLACE')
    kept[#kept + 1] = {key, left, dump}
  end
end
local flushed = redis.pcall('FLUSHDB', mode)
if type(flushed) == 'table' and flushed.err then
  if life ~= '' then redis.call('HINCRBY', counter, life, -1) end
  return flushed
end
for _, it in ipairs(kept) do redis.call('RESTORE', it[1], it[2], it[3], 'REPLACE') end
return flushed
