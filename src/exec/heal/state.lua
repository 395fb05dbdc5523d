-- A fingerprint of the content of a key and its expiry: the same wherever the content is the same, except where there
-- is more of it than should be sorted here, and of streams, whose inner form counts. It is 'none' where the key is
-- not, and 'large' where even to look at it would hold the server up.
local function fingerprint(key, limit)
  local size = redis.call('MEMORY', 'USAGE', key)
  if not size then return 'none' end
  if size > tonumber(limit) then return 'large' end
  local few = 10000
  local kind = redis.call('TYPE', key).ok
  local content
  if kind == 'set' and redis.call('SCARD', key) <= few then
    content = redis.call('SMEMBERS', key)
    table.sort(content)
  elseif kind == 'hash' and redis.call('HLEN', key) <= few then
    local all, names, values = redis.call('HGETALL', key), {}, {}
    for at = 1, #all, 2 do
      names[#names + 1] = all[at]
      values[all[at]] = all[at + 1]
    end
    table.sort(names)
    content = {}
    for _, name in ipairs(names) do
      content[#content + 1] = name
      content[#content + 1] = values[name]
    end
  elseif kind == 'zset' and redis.call('ZCARD', key) <= few then
    content = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'list' and redis.call('LLEN', key) <= few then
    content = redis.call('LRANGE', key, 0, -1)
  end
  local bytes = content and cmsgpack.pack(content) or redis.call('DUMP', key)
  if not bytes then return 'none' end
  local expiry = string.format('%.0f', redis.call('PEXPIRETIME', key))
  return kind .. ' ' .. redis.sha1hex(bytes) .. ' ' .. expiry
end
