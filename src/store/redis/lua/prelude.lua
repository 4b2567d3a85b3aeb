-- The head of every script: Kassir puts it before each of the others.
-- KEYS[1]  the partition's `meta`; every other key has the same hash tag and is made from `base`
-- KEYS[2…] two keys that never exist: while a Cluster moves this slot some keys are here and some there, and these make
--          it say so (ASK, TRYAGAIN) before the script runs; else that could stop half-way, or miss keys
-- ARGV[1]  base: the prefix of the partition's keys, `<prefix>{kNN}:`
-- ARGV[2]  epoch: what `meta` must say; else the database was emptied, and nothing is read or written
-- ARGV[3]  Unix milliseconds, or empty: Redis's own clock
-- ARGV[4]  the request's id (16 bytes), or empty; with a `+` behind it when it may have come before: a repeated request
--          gets its first answer
-- ARGV[5…] the script's own, taken one after the other with take() and num()
local base, epoch, rid = ARGV[1], ARGV[2], string.sub(ARGV[4], 1, 16)
local held = redis.call('HGET', KEYS[1], 'epoch')
if held ~= epoch then
  return redis.error_reply('EMPTIED ' .. (held and 'other' or 'gone'))
end

local now
if ARGV[3] ~= '' then
  now = tonumber(ARGV[3])
else
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end

local at = 4
local function take()
  at = at + 1
  return ARGV[at]
end
local function num()
  return tonumber(take())
end
-- Lua writes large numbers as 1.5e+12; Redis and Rust want the digits.
local function whole(n)
  return string.format('%d', n)
end
local function key(name)
  return base .. name
end

-- Answers of the last minutes, in two generations: `r0` takes them, `r1` is the one before. '@' says since when.
local ANSWERS_MAX, ANSWERS_MS, ANSWERS_TTL_S = 50000, 120000, 600
local function first_answer()
  if #ARGV[4] <= 16 then
    return nil
  end
  local kept = redis.call('HGET', key('r0'), rid) or redis.call('HGET', key('r1'), rid)
  if kept then
    -- Who waits for replicas waits for the last write of its connection: that must be no older than the first one.
    redis.call('HSET', key('n'), 'again', whole(now))
  end
  return kept and cmsgpack.unpack(kept)
end
local function remember(reply)
  if rid == '' then
    return reply
  end
  local r0 = key('r0')
  local since = tonumber(redis.call('HGET', r0, '@') or nil)
  -- The number of answers is looked at now and then: ids of requests are random.
  local full = string.byte(rid) < 8 and redis.call('HLEN', r0) > ANSWERS_MAX
  if since and (now - since > ANSWERS_MS or now < since or full) then
    redis.call('RENAME', r0, key('r1'))
    since = nil
  end
  if since then
    redis.call('HSET', r0, rid, cmsgpack.pack(reply))
  else
    redis.call('HSET', r0, '@', whole(now), rid, cmsgpack.pack(reply))
    redis.call('EXPIRE', r0, ANSWERS_TTL_S)
  end
  return reply
end

-- Records of one payment are fields of one hash; records without a payment are in number 0's.
local function payment_key(merchant, number)
  return key('p:' .. merchant .. ':' .. whole(number))
end
-- A versioned value is `<version>:<record>`; a delivery's record begins with its event's id (16 bytes). A payment that
-- was not made by the API has `;` for the `:`.
local function version_of(value)
  return value and tonumber(string.match(value, '^(%d+)[:;]'))
end
local function event_of(value)
  local colon = string.find(value, ':', 1, true)
  return string.sub(value, colon + 1, colon + 16)
end
-- Takes a question: count of links, links (16 bytes each)…, count of numbers, numbers…
-- Adds to a reply {number, payment} or nil for each link, payment or nil for each number; by their number only those
-- that the API made. Gives whether a payment was found, and the links that lead nowhere as a set.
local function look_up(merchant, reply)
  local found, free = false, {}
  for _ = 1, num() do
    local link = take()
    local number = redis.call('HGET', key('l:' .. merchant), link)
    free[link] = not number
    local payment = number and redis.call('HGET', payment_key(merchant, number), 'p')
    reply[#reply + 1] = payment and { tonumber(number), payment } or false
    found = found or payment
  end
  for _ = 1, num() do
    local payment = redis.call('HGET', payment_key(merchant, num()), 'p')
    payment = payment and not string.find(payment, '^%d+;') and payment
    reply[#reply + 1] = payment
    found = found or payment
  end
  return found, free
end
local function has_merchant(merchant)
  return redis.call('EXISTS', key('c:' .. merchant)) == 1
end

-- An index has ids in the order of their making, each with the payment's number (4 bytes). It is a row of chunks, small
-- enough for Redis's compact form: `<index>` has the chunks' names, `<index>:<name>` a chunk. A name is the id that the
-- chunk begins with, or zeros for the first one.
local INDEX_CHUNK_MAX, FIRST_CHUNK = 64, string.rep('\0', 16)
local function index_member(id, number)
  return id .. struct.pack('>I4', number)
end
local function index_chunk(index, id)
  return redis.call('ZREVRANGEBYLEX', index, '[' .. id, '-', 'LIMIT', '0', '1')[1]
end
local function index_find(index, id)
  local name = index_chunk(index, id)
  local found = name
    and redis.call('ZRANGEBYLEX', index .. ':' .. name, '[' .. id, '[' .. id .. '\255\255\255\255\255', 'LIMIT', '0', '1')[1]
  return found and struct.unpack('>I4', found, 17)
end
-- Whether a text comes before another byte by byte, as Redis orders members: Lua's `<` goes by the server's locale.
local function is_before(a, b)
  for n = 1, math.min(#a, #b) do
    local of_a, of_b = string.byte(a, n), string.byte(b, n)
    if of_a ~= of_b then
      return of_a < of_b
    end
  end
  return #a < #b
end
local function index_add(index, id, number)
  local name = index_chunk(index, id)
  if not name then
    name = FIRST_CHUNK
    redis.call('ZADD', index, '0', name)
  end
  local chunk, member = index .. ':' .. name, index_member(id, number)
  if redis.call('ZCARD', chunk) < INDEX_CHUNK_MAX then
    redis.call('ZADD', chunk, '0', member)
    return
  end
  -- A full chunk: what comes after the new one begins another, so that chunks stay full when ids come nearly in their
  -- order; when that is much, the upper half does.
  local upper = redis.call('ZRANGEBYLEX', chunk, '(' .. member, '+')
  if #upper > INDEX_CHUNK_MAX / 2 then
    upper = redis.call('ZRANGE', chunk, INDEX_CHUNK_MAX / 2, -1)
  end
  local next_name = upper[1] and string.sub(upper[1], 1, 16) or id
  if upper[1] then
    redis.call('ZREM', chunk, unpack(upper))
    local moved = {}
    for _, one in ipairs(upper) do
      moved[#moved + 1] = '0'
      moved[#moved + 1] = one
    end
    redis.call('ZADD', index .. ':' .. next_name, unpack(moved))
  end
  redis.call('ZADD', index, '0', next_name)
  redis.call('ZADD', is_before(id, next_name) and chunk or index .. ':' .. next_name, '0', member)
end
local function index_remove(index, id, number)
  local name = index_chunk(index, id)
  if name then
    redis.call('ZREM', index .. ':' .. name, index_member(id, number))
    if redis.call('EXISTS', index .. ':' .. name) == 0 then
      redis.call('ZREM', index, name)
    end
  end
end
-- Members after `from` (itself excluded; empty: from the end) in a direction: `new`, newest first, or `old`.
local function index_page(index, direction, from, count)
  local CHUNKS = 8
  local newest = direction == 'new'
  local low, high = '-', '+'
  if from ~= '' and newest then
    high = '(' .. from
  elseif from ~= '' then
    low = '(' .. from .. '\255\255\255\255\255'
  end
  local start = from ~= '' and not newest and index_chunk(index, from)
  local members, seen = {}, 0
  while #members < count do
    local names
    if newest then
      names = redis.call('ZREVRANGEBYLEX', index, high, '-', 'LIMIT', seen, CHUNKS)
    else
      names = redis.call('ZRANGEBYLEX', index, start and '[' .. start or '-', '+', 'LIMIT', seen, CHUNKS)
    end
    for _, name in ipairs(names) do
      local left, found = count - #members, {}
      if left > 0 and newest then
        found = redis.call('ZREVRANGEBYLEX', index .. ':' .. name, high, low, 'LIMIT', 0, left)
      elseif left > 0 then
        found = redis.call('ZRANGEBYLEX', index .. ':' .. name, low, high, 'LIMIT', 0, left)
      end
      for _, member in ipairs(found) do
        members[#members + 1] = member
      end
    end
    seen = seen + #names
    if #names < CHUNKS then
      break
    end
  end
  return members
end
-- A notification's record may lean on its event's: then it begins with 1 and the event's id.
local function leaned_on(payment, record)
  if record and string.byte(record) == 1 then
    return redis.call('HGET', payment, 'e' .. string.sub(record, 2, 17)) or ''
  end
  return ''
end

-- The queue. A work is `d` or `j` and its id (16 bytes): for a delivery, also the name of its field.
-- `o`: owners of leases, see owner_life().
-- `q`: lanes by their earliest due time or, when they are due, by their turn; `q:<lane>`: the lane's work by due time; `w`: what each work is
-- (lane, merchant, number, and of a job its record and what it is about); `wn`: notifications that a job is about, and
-- payments with how many jobs are about them; `t`: token|due|owner of its last lease; `z`: leases by their end; `h` and `hs`: lanes that are held, by
-- the end of the hold, and the hold's step; `hi`: since when, and the end of the lease of what was tried last; `qh`: those of them in which work waits, by when the next of it may be tried.
local function lane_key(lane)
  return key('q:' .. lane)
end
local function lane_head(lane)
  return tonumber(redis.call('ZRANGE', lane_key(lane), 0, 0, 'WITHSCORES')[2] or nil)
end
local function held_until(lane)
  return tonumber(redis.call('ZSCORE', key('h'), lane) or nil)
end
-- A lane whose turn it is keeps its place in the row, so that new work or old does not push it to the front. One that is
-- held is not in the row.
local function lane_touch(lane)
  local head, held = lane_head(lane), held_until(lane)
  if held then
    redis.call('ZREM', key('q'), lane)
    if head then
      redis.call('ZADD', key('qh'), whole(math.max(head, held)), lane)
    else
      redis.call('ZREM', key('qh'), lane)
    end
    return
  end
  if not head then
    redis.call('ZREM', key('q'), lane)
    return
  end
  local turn = head <= now and tonumber(redis.call('ZSCORE', key('q'), lane) or nil)
  if not turn or turn >= now + 1 then
    redis.call('ZADD', key('q'), whole(head), lane)
  end
end
-- A lane that was served goes to the end of those that are due now: just after this millisecond's, in the order in
-- which they were served (a double has room for 4096 places within a millisecond).
local function lane_served(lane)
  local head = lane_head(lane)
  if head and head <= now then
    local place = redis.call('HINCRBY', key('n'), 'turn', 1) % 4095 + 1
    redis.call('ZADD', key('q'), now + place / 4096, lane)
  end
end
-- Since when a lane is held, and until when the lease of what was tried last lasts or lasted; as texts.
local function hold_life(lane)
  return string.match(redis.call('HGET', key('hi'), lane) or '', '^(%d+)|(%d*)$')
end
local function note_hold_life(lane, tried)
  redis.call('HSET', key('hi'), lane, (hold_life(lane) or whole(now)) .. '|' .. tried)
end
-- A hold that ran out so long ago, and in whose lane nothing waits, is forgotten; so many at once.
local HOLD_KEPT_MS, HOLDS_FORGOTTEN_MAX = 86400000, 10
-- `ends`: empty leaves the hold on a lane as it is, `lift` lifts it.
local function hold_lane(lane, ends, step)
  if ends == '' then
    return
  end
  if ends == 'lift' then
    if redis.call('ZREM', key('h'), lane) == 0 then
      return
    end
    redis.call('HDEL', key('hs'), lane)
    redis.call('HDEL', key('hi'), lane)
    redis.call('ZREM', key('qh'), lane)
  else
    local old = redis.call('ZRANGEBYSCORE', key('h'), '-inf', whole(now - HOLD_KEPT_MS), 'LIMIT', 0, HOLDS_FORGOTTEN_MAX)
    for _, gone in ipairs(old) do
      if not redis.call('ZSCORE', key('qh'), gone) then
        redis.call('ZREM', key('h'), gone)
        redis.call('HDEL', key('hs'), gone)
        redis.call('HDEL', key('hi'), gone)
      end
    end
    redis.call('ZADD', key('h'), ends, lane)
    redis.call('HSET', key('hs'), lane, step)
    note_hold_life(lane, '')
  end
  lane_touch(lane)
end
local function work_of(work)
  local kept = redis.call('HGET', key('w'), work)
  return kept and cmsgpack.unpack(kept)
end
local function enqueue(work, lane, due)
  redis.call('ZADD', lane_key(lane), whole(due), work)
  lane_touch(lane)
end
-- Takes it out of the waiting or of the leased, not out of `w`. What is leased is not in its lane.
local function dequeue(work, lane)
  if redis.call('ZREM', key('z'), work) == 0 then
    redis.call('ZREM', lane_key(lane), work)
    lane_touch(lane)
  end
end
local function about_payment(merchant, number)
  return '#' .. merchant .. ':' .. whole(number)
end
-- `ended`: the note of its lease is gone already.
local function forget_work(work, what, ended)
  dequeue(work, what[1])
  redis.call('HDEL', key('w'), work)
  if not ended then
    redis.call('HDEL', key('t'), work)
  end
  -- Several jobs may be about a payment.
  if what[5] and (#what[5] == 16 or redis.call('HINCRBY', key('wn'), what[5], -1) <= 0) then
    redis.call('HDEL', key('wn'), what[5])
  end
end
local function lease_of(work)
  local kept = redis.call('HGET', key('t'), work)
  if not kept then
    return nil
  end
  local token, due, owner = string.match(kept, '^(%d+)|([%d-]*)|(.*)$')
  return token, tonumber(due), owner
end
local function note_lease(work, token, due, owner)
  redis.call('HSET', key('t'), work, token .. '|' .. (due and whole(due) or '-') .. '|' .. owner)
end
-- Ends a lease: its work waits again, due as it was, unless it was called off meanwhile or is gone. Without a token
-- somebody removed the note of the lease: then it is due now.
local function wait_again(work)
  local what, token, due = work_of(work), lease_of(work)
  if what and (due or not token) then
    redis.call('ZREM', key('z'), work)
    enqueue(work, what[1], due or now)
  else
    forget_work(work, what or { '' })
  end
end
-- A lease's number grows with each lease. It is at least the time in microseconds: after a failover that lost the last
-- moments, numbers that were given before it are not given again.
local function next_token()
  local last = tonumber(redis.call('HGET', key('n'), 'fence') or 0)
  local token = whole(math.max(last + 1, now * 1000))
  redis.call('HSET', key('n'), 'fence', token)
  return token
end
-- Owners of leases say from time to time that they live: since when without a gap longer than GAP_MS, and when last.
-- Silence is judged only by one who has spoken all the while: when nobody could (Redis was away), nobody was silent.
local SILENT_MS, GAP_MS = 8000, 4000
local function owner_life(value)
  local since, last = string.match(value or '', '^(%d+)|(%d+)$')
  return tonumber(since), tonumber(last)
end
-- Leases work that is in no lane.
local function lease_new(work, due, owner, ends)
  local token = next_token()
  note_lease(work, token, due, owner)
  redis.call('ZADD', key('z'), whole(ends), work)
  return token
end
local function lease(work, lane, due, owner, ends)
  redis.call('ZREM', lane_key(lane), work)
  lane_touch(lane)
  return lease_new(work, due, owner, ends)
end

local HOUR = 3600000
local function tally(merchant)
  local count = num()
  if count == 0 then
    return
  end
  local names, moves = {}, {}
  for _ = 1, count do
    local name, by = take(), num()
    if not moves[name] then
      names[#names + 1] = name
    end
    moves[name] = (moves[name] or 0) + by
  end
  local hour = whole(now - now % HOUR)
  local counters = key('t:' .. merchant .. ':' .. hour)
  local before, after, first = redis.call('HMGET', counters, unpack(names)), {}, true
  for n, name in ipairs(names) do
    first = first and not before[n]
    after[#after + 1] = name
    after[#after + 1] = whole((before[n] or 0) + moves[name])
  end
  redis.call('HSET', counters, unpack(after))
  if first then
    redis.call('ZADD', key('th:' .. merchant), hour, hour)
  end
end
