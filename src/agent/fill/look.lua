local out, bytes = {}, 0
for nth, key in ipairs(KEYS) do
  if bytes >= tonumber(ARGV[2]) then break end
  local size = redis.call('MEMORY', 'USAGE', key)
  local at = #out
  if size and size > tonumber(ARGV[1]) then
    out[at + 1], out[at + 2], out[at + 3] = size, 0, false
  else
    local value = size and redis.call('DUMP', key)
    out[at + 1], out[at + 2], out[at + 3] = false, 0, false
    if value then
      local expiry, there = redis.call('PEXPIRETIME', key), ARGV[nth + 2]
      bytes = bytes + #value
      if there ~= '' and there == print_of(key, value, expiry) then value = 0 end
      out[at + 1], out[at + 2] = value, expiry
      local kind = value ~= 0 and string.byte(value) or tonumber(string.match(there, '^%d+'))
      if kind == 15 or kind == 19 or kind == 21 then out[at + 3] = sign(key) end
    end
  end
end
return out
