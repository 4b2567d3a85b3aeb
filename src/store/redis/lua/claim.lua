-- Leases due work: work whose lease ended goes back to its lane first; then the lanes take turns, the longest due
-- first within each. Beside that, held lanes whose hold ran out give one each, and are held as long as its lease lasts.
-- Bounded: at most LATE_MAX late leases, `room`'s lanes + 2 × quota + LANES_EXTRA lanes are seen.
-- ARGV: owner, lease in milliseconds, quota (0: only look), at most of one lane (0: only the lanes of `room`), at most of
-- held lanes (0: only look, -1: none), count of rooms: lane, room…
-- Returns {now, next due or empty, 1 when there may be more that could be taken now, {{work, token, lane, due,
-- merchant, number, record, event's id, event, step of the hold or empty}…}}: record is the delivery or the job, the
-- event's two are empty for a job.
local LATE_MAX, LANES_EXTRA, PAGE = 200, 64, 64
local owner, lease_ms, quota, per_lane, probes = take(), num(), num(), num(), num()
local room, rooms = {}, num()
for _ = 1, rooms do
  local lane = take()
  room[lane] = num()
end

-- Ends the leases of owners that fell silent, so that their work does not wait until they run out by themselves. A
-- lease that is younger than the silence stays: whoever takes work lives.
local SILENT_LOOK_MAX = 5000
local function silent_leases()
  local all, silent, lives = redis.call('HGETALL', key('o')), {}, false
  for n = 1, #all, 2 do
    local since, last = owner_life(all[n + 1])
    if all[n] == owner then
      lives = since and now - since >= SILENT_MS and now - last <= GAP_MS
    elseif not last or now - last >= SILENT_MS then
      silent[all[n]] = 0
    end
  end
  if not lives or not next(silent) then
    return
  end
  local works = redis.call('ZRANGEBYSCORE', key('z'), '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', 0, SILENT_LOOK_MAX)
  for n = 1, #works, 2 do
    local _, _, holder = lease_of(works[n])
    if silent[holder] and now - (tonumber(works[n + 1]) - lease_ms) >= SILENT_MS then
      local what = work_of(works[n])
      if what and held_until(what[1]) == tonumber(works[n + 1]) then
        redis.call('ZADD', key('h'), whole(now), what[1])
      end
      wait_again(works[n])
    elseif silent[holder] then
      silent[holder] = silent[holder] + 1
    end
  end
  for name, left in pairs(silent) do
    if left == 0 then
      redis.call('HDEL', key('o'), name)
    end
  end
end

-- Leases that ran out. Those of another owner that speaks end by its silence, or by its own word, and not by a clock
-- that jumped ahead: what it has under way would be done twice.
local function late_leases()
  local late = redis.call('ZRANGEBYSCORE', key('z'), '-inf', whole(now), 'LIMIT', 0, LATE_MAX)
  for _, work in ipairs(late) do
    local _, _, holder = lease_of(work)
    if holder and holder ~= owner and redis.call('HEXISTS', key('o'), holder) == 1 then
      redis.call('ZADD', key('z'), whole(now + GAP_MS), work)
    else
      wait_again(work)
    end
  end
  return #late == LATE_MAX
end

local function due_of(lane, most)
  return redis.call('ZRANGEBYSCORE', lane_key(lane), '-inf', whole(now), 'WITHSCORES', 'LIMIT', 0, most)
end

-- Of the lanes of `room`, those whose turn it is, in its order.
local function named_lanes()
  local lanes = {}
  for lane, has in pairs(room) do
    local turn = has > 0 and tonumber(redis.call('ZSCORE', key('q'), lane) or nil)
    if turn and turn < now + 1 then
      lanes[#lanes + 1] = { lane, due_of(lane, math.min(has, quota)), turn }
    end
  end
  table.sort(lanes, function(a, b)
    return a[3] < b[3] or (a[3] == b[3] and a[1] < b[1])
  end)
  return lanes
end

-- Due lanes with room, each with the work it may give.
local function due_lanes()
  local lanes, seen, most = {}, 0, rooms + 2 * quota + LANES_EXTRA
  while #lanes < quota and seen < most do
    local page = redis.call('ZRANGEBYSCORE', key('q'), '-inf', '(' .. whole(now + 1), 'LIMIT', seen, PAGE)
    for _, lane in ipairs(page) do
      local has = math.min(room[lane] or per_lane, quota)
      if has > 0 and #lanes < quota then
        lanes[#lanes + 1] = { lane, due_of(lane, has) }
      end
    end
    seen = seen + #page
    if #page < PAGE then
      break
    end
  end
  return lanes
end

local function picks()
  local picked, lanes, turn = {}, per_lane == 0 and named_lanes() or due_lanes(), 1
  local any = true
  while any and #picked < quota do
    any = false
    for _, entry in ipairs(lanes) do
      local work = entry[2][2 * turn - 1]
      if work and #picked < quota then
        any = true
        picked[#picked + 1] = { work, entry[1], tonumber(entry[2][2 * turn]) }
      end
    end
    turn = turn + 1
  end
  return picked
end

local function held_lanes(taken)
  local count = 0
  for _, lane in ipairs(redis.call('ZRANGEBYSCORE', key('qh'), '-inf', whole(now), 'LIMIT', 0, probes + rooms)) do
    local work = count < probes and room[lane] ~= 0 and due_of(lane, 1)
    if work and work[1] then
      count = count + 1
      local step = redis.call('HGET', key('hs'), lane) or '0'
      redis.call('ZADD', key('h'), now + lease_ms, lane)
      note_hold_life(lane, whole(now + lease_ms))
      local due = tonumber(work[2])
      taken[#taken + 1] = { work[1], lease(work[1], lane, due, owner, now + lease_ms), lane, due, step }
    end
  end
  return count == probes
end

local taken = first_answer()
local late_left, clean, held_left = false, 0, false
if not taken then
  taken = {}
  silent_leases()
  late_left = late_leases()
  if quota > 0 then
    for _, pick in ipairs(picks()) do
      local work, lane, due = pick[1], pick[2], pick[3]
      taken[#taken + 1] = { work, lease(work, lane, due, owner, now + lease_ms), lane, due }
      lane_served(lane)
    end
  end
  clean = #taken
  held_left = probes > 0 and held_lanes(taken)
  if #taken > 0 then
    remember(taken)
  end
end

-- What is no longer there (its merchant was deleted) is forgotten.
local rows = {}
for _, row in ipairs(taken) do
  local work, lane = row[1], row[3]
  local what = work_of(work)
  local record, event_id, event = what and what[4], '', ''
  if what and not record then
    local payment = payment_key(what[2], what[3])
    record = redis.call('HGET', payment, work)
    event_id = record and event_of(record) or ''
    event = redis.call('HGET', payment, 'e' .. event_id)
  end
  if record and event and has_merchant(what[2]) then
    rows[#rows + 1] = { work, row[2], lane, whole(row[4]), what[2], what[3], record, event_id, event, row[5] or '' }
  else
    forget_work(work, what or { lane })
  end
end
-- Lanes that are due are in the order of their turns: the earliest of them is looked for, within bounds.
local next_due
for _, lane in ipairs(redis.call('ZRANGE', key('q'), 0, PAGE - 1)) do
  local head = lane_head(lane)
  if head and (not next_due or head < next_due) then
    next_due = head
  end
end
local more = late_left or (quota > 0 and clean == quota)
  or (quota == 0 and per_lane > 0 and next_due and next_due <= now)
  or (quota == 0 and per_lane == 0 and #named_lanes() > 0)
local next_held = tonumber(redis.call('ZRANGE', key('qh'), 0, 0, 'WITHSCORES')[2] or nil)
more = more or (next_held and next_held <= now and (held_left or probes == 0))
if next_held and (not next_due or next_held < next_due) then
  next_due = next_held
end
return { now, next_due and whole(next_due) or '', more and 1 or 0, rows }
