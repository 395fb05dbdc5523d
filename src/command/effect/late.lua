#!lua
-- Adds an entry to a stream that has later ones: those are taken out, and added again after it. Groups stay as they
-- are, since they hold ids and no entries.
local key, scratch, id, most, trims = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local trim, fields = {}, {}
for at = 5, 4 + trims do trim[#trim + 1] = ARGV[at] end
for at = 5 + trims, #ARGV do fields[#fields + 1] = ARGV[at] end
local doubtful = ARGV[3] ~= '0'
local most_fields, most_bytes = 4000, 1048576

local function done()
  if trims > 0 then redis.call('XTRIM', key, unpack(trim)) end
  return not doubtful and id
end

if #fields > most_fields then return false end
if not redis.pcall('XADD', key, id, unpack(fields)).err then return done() end
if #redis.call('XRANGE', key, id, id) > 0 then return id end

local info, flat = {}, redis.call('XINFO', 'STREAM', key)
for at = 1, #flat, 2 do info[flat[at]] = flat[at + 1] end
local later = redis.call('XRANGE', key, '(' .. id, '+', 'COUNT', most + 1)
local ids, bytes = {}, 0
for at, entry in ipairs(later) do
  ids[at] = entry[1]
  if #entry[2] > most_fields then return false end
  for _, word in ipairs(entry[2]) do bytes = bytes + #word end
end
if #later > most or bytes > most_bytes then return false end

-- A stream of its own proves that all of it is possible here before anything is taken out: a server may not let this
-- user do it, and newer ones do not set a last id below that of a deleted entry.
local able = pcall(function()
  redis.call('DEL', scratch)
  redis.call('XADD', scratch, '1-0', 'f', 'v')
  redis.call('XADD', scratch, '2-0', 'f', 'v')
  redis.call('XDEL', scratch, '2-0')
  redis.call('XSETID', scratch, '1-0')
  redis.call('XADD', scratch, '2-0', 'f', 'v')
  redis.call('XSETID', scratch, '2-0', 'ENTRIESADDED', 2, 'MAXDELETEDID', '0-1')
  redis.call('XTRIM', scratch, 'MAXLEN', 1)
end)
redis.pcall('DEL', scratch)
if not able then return false end

if #ids > 0 then redis.call('XDEL', key, unpack(ids)) end
local top = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
-- Where it comes first, and others were taken away, it may have been taken away as well, before it was here.
if not top and info['entries-added'] > #later then doubtful = true end
redis.call('XSETID', key, top and top[1] or '0-0')
redis.call('XADD', key, id, unpack(fields))
for _, entry in ipairs(later) do redis.call('XADD', key, entry[1], unpack(entry[2])) end
local stands = {'XSETID', key, info['last-generated-id'], 'ENTRIESADDED', string.format('%.0f', info['entries-added'] + 1)}
if #ids > 0 then
  -- A server takes 0-0 for no change; 0-1 stands before every entry too.
  local deleted = info['max-deleted-entry-id']
  stands[6], stands[7] = 'MAXDELETEDID', deleted == '0-0' and '0-1' or deleted
end
redis.call(unpack(stands))
return done()
