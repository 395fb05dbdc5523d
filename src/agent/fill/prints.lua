local out, bytes = {}, 0
for nth, key in ipairs(KEYS) do
  if bytes >= tonumber(ARGV[2]) then break end
  local size = redis.call('MEMORY', 'USAGE', key)
  out[nth] = ''
  if size and size <= tonumber(ARGV[1]) then
    local value = redis.call('DUMP', key)
    if value then
      bytes = bytes + #value
      out[nth] = print_of(key, value, redis.call('PEXPIRETIME', key))
    end
  end
end
return out
