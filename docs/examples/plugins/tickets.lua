-- An example of a plugin in Lua: ticket numbers become links, "settings" is the address they begin with; prompts from
-- anybody but operators that ask for the on-call list are refused.

function preprocess(input)
  for _, text in ipairs(input.texts) do
    if text.role == "user" and text.text:find("on-call list", 1, true) and request.role == "user" then
      return false, "the on-call list is for operators"
    end
  end
end

-- A ticket may be cut by the border of two pieces: what could still grow into one is held back.
local held = {}

function postprocess(text, info)
  local all = (held[info.id] or "") .. text
  local rest = ""
  if not info.last then
    local at = all:find("T%a*%-?%d*$") -- the beginning of "TICKET-123" at the end of what there is
    if at and #all - at < 20 then
      all, rest = all:sub(1, at - 1), all:sub(at)
    end
  end
  held[info.id] = not info.last and rest or nil
  return (all:gsub("TICKET%-(%d+)", settings .. "%1"))
end
