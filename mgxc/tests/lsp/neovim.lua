-- Drives the server from a headless Neovim with the configuration of editors/neovim; writes what it saw as JSON to $MGX_TEST_ANSWERS.

local answers = {}
local failed

local function wait_for(what, condition)
  if not vim.wait(30000, condition, 20) then
    error("waited in vain for " .. what)
  end
end

local function text_of(findings)
  local codes = {}
  for _, finding in ipairs(findings) do
    table.insert(codes, finding.code or (finding.user_data and finding.user_data.lsp and finding.user_data.lsp.code) or "?")
  end
  table.sort(codes)
  return table.concat(codes, " ")
end

local function request(method, line, column)
  local params = vim.lsp.util.make_position_params()
  params.position = { line = line, character = column }
  local results = vim.lsp.buf_request_sync(0, method, params, 30000)
  for _, result in pairs(results or {}) do
    return result.result
  end
end

local ok, reason = pcall(function()
  local broken = os.getenv("MGX_TEST_FILE")
  vim.cmd("edit " .. vim.fn.fnameescape(broken))
  wait_for("a finding", function() return #vim.diagnostic.get(0) > 0 end)
  answers.findings = text_of(vim.diagnostic.get(0))
  answers.column = vim.diagnostic.get(0)[1].col
  local line = vim.api.nvim_buf_get_lines(0, 4, 5, false)[1]
  local size = line:find("n]", 1, true) - 1
  local wrong = line:find("inptu", 1, true) - 1
  local hover = request("textDocument/hover", 4, size)
  answers.hover = hover and hover.contents.value
  local definition = request("textDocument/definition", 4, size)
  answers.definition = definition and definition.range.start.line
  -- The quick fix is taken as a user takes it.
  local range = { start = { line = 4, character = wrong }, ["end"] = { line = 4, character = wrong } }
  local params = { textDocument = vim.lsp.util.make_text_document_params(), range = range, context = { diagnostics = {} } }
  for _, result in pairs(vim.lsp.buf_request_sync(0, "textDocument/codeAction", params, 30000) or {}) do
    local client = vim.lsp.get_client_by_id(vim.g.mgx_client)
    vim.lsp.util.apply_workspace_edit(result.result[1].edit, client.offset_encoding)
  end
  answers.fixed = vim.api.nvim_buf_get_lines(0, 4, 5, false)[1]
  wait_for("no finding", function() return #vim.diagnostic.get(0) == 0 end)
  -- Typed letters arrive as changes of ranges, beside letters of several units.
  vim.api.nvim_buf_set_text(0, 4, #answers.fixed, 4, #answers.fixed, { " // 🧬🧬" })
  vim.api.nvim_buf_set_text(0, 4, wrong, 4, wrong + 5, { "x" })
  vim.api.nvim_buf_set_text(0, 4, #vim.api.nvim_buf_get_lines(0, 4, 5, false)[1], 4, #vim.api.nvim_buf_get_lines(0, 4, 5, false)[1], { "!" })
  wait_for("a finding again", function() return #vim.diagnostic.get(0) > 0 end)
  answers.typed = text_of(vim.diagnostic.get(0))
end)
if not ok then
  answers.failed = tostring(reason)
end
local file = assert(io.open(os.getenv("MGX_TEST_ANSWERS"), "w"))
file:write(vim.json and vim.json.encode(answers) or vim.fn.json_encode(answers))
file:close()
vim.cmd("qall!")
