local seen = fingerprint(KEYS[1], ARGV[1])
if seen ~= ARGV[2] then return seen end
return {seen, redis.call('DUMP', KEYS[1]), string.format('%.0f', redis.call('PEXPIRETIME', KEYS[1]))}
