local out, bytes = {}, 0
for _, key in ipairs(KEYS) do
  if bytes >= tonumber(ARGV[2]) then break end
  local size = redis.call('MEMORY', 'USAGE', key)
  if size and size > tonumber(ARGV[1]) then
    out[#out + 1] = size
    out[#out + 1] = 0
  else
    local value = size and redis.call('DUMP', key)
    if value then bytes = bytes + #value end
    out[#out + 1] = value or false
    out[#out + 1] = value and redis.call('PEXPIRETIME', key) or 0
  end
end
return out
