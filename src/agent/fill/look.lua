local out, bytes = {}, 0
for _, key in ipairs(KEYS) do
  if bytes >= tonumber(ARGV[2]) then break end
  local size = redis.call('MEMORY', 'USAGE', key)
  local at = #out
  if size and size > tonumber(ARGV[1]) then
    out[at + 1], out[at + 2], out[at + 3] = size, 0, false
  else
    local value = size and redis.call('DUMP', key)
    out[at + 1], out[at + 2], out[at + 3] = false, 0, false
    if value then
      bytes = bytes + #value
      out[at + 1], out[at + 2] = value, redis.call('PEXPIRETIME', key)
      local kind = string.byte(value)
      if kind == 15 or kind == 19 or kind == 21 then out[at + 3] = sign(key) end
    end
  end
end
return out
