local function print_of(key, value, expiry)
  local kind, content = string.byte(value), value
  if kind == 2 or kind == 4 then
    if #value > 65536 then return '' end
    local all = redis.call(kind == 2 and 'SSCAN' or 'HSCAN', key, 0, 'COUNT', 65536)
    if all[1] ~= '0' then return '' end
    content = all[2]
    if kind == 4 then
      local pairs_of = {}
      for i = 1, #content, 2 do pairs_of[#pairs_of + 1] = cmsgpack.pack({content[i], content[i + 1]}) end
      content = pairs_of
    end
    table.sort(content)
    content = cmsgpack.pack(content)
  end
  return kind .. ':' .. redis.sha1hex(content) .. string.format(':%.0f', expiry)
end
