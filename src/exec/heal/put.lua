if redis.call('HEXISTS', '__rr:ahead', ARGV[5]) == 1 then return -1 end
if fingerprint(KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('RESTORE', KEYS[1], ARGV[4], ARGV[3], 'REPLACE', 'ABSTTL')
end
return 1
