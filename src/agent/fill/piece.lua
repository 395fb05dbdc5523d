local kind, from, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
if kind == 'string' then
  local piece = redis.call('GETRANGE', KEYS[1], from, from + count - 1)
  return {string.format('%.0f', from + count), #piece, redis.sha1hex(piece)}
elseif kind == 'list' then
  local piece = redis.call('LRANGE', KEYS[1], from, from + count - 1)
  return {string.format('%.0f', from + count), #piece, redis.sha1hex(cmsgpack.pack(piece))}
end
local scan, width = 'SSCAN', 1
if kind == 'hash' then scan, width = 'HSCAN', 2 elseif kind == 'zset' then scan, width = 'ZSCAN', 2 end
local step = redis.call(scan, KEYS[1], from, 'COUNT', count)
local list, sums = step[2], {0, 0, 0}
for i = 1, #list, width do
  local digest = redis.sha1hex(cmsgpack.pack({list[i], width == 2 and list[i + 1] or ''}))
  for part = 1, 3 do
    sums[part] = (sums[part] + tonumber(string.sub(digest, part * 12 - 11, part * 12), 16)) % 281474976710656
  end
end
return {step[1], #list / width, string.format('%.0f:%.0f:%.0f', sums[1], sums[2], sums[3])}
