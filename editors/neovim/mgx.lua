-- mgx in Neovim: highlighting and answers by the language server `mgxc lsp`.
--
-- Neovim 0.7 and newer. Put this file into `~/.config/nvim/plugin/`; see README.md beside it.

local command = vim.g.mgx_command or { "mgxc", "lsp" }

local function start(buffer)
  local file = vim.api.nvim_buf_get_name(buffer)
  local client = vim.g.mgx_client
  if not client or not vim.lsp.get_client_by_id(client) then
    client = vim.lsp.start_client({ name = "mgx", cmd = command, root_dir = vim.fn.fnamemodify(file, ":p:h") })
    if not client then
      vim.notify("mgx: `" .. table.concat(command, " ") .. "` cannot be started; set vim.g.mgx_command", vim.log.levels.ERROR)
      return
    end
    vim.g.mgx_client = client
  end
  vim.lsp.buf_attach_client(buffer, client)
end

local group = vim.api.nvim_create_augroup("mgx", {})

vim.api.nvim_create_autocmd({ "BufRead", "BufNewFile" }, {
  group = group,
  pattern = "*.mgx",
  callback = function(event)
    vim.bo[event.buf].filetype = "mgx"
    vim.bo[event.buf].commentstring = "// %s"
    vim.bo[event.buf].shiftwidth = 2
    vim.bo[event.buf].expandtab = true
    vim.bo[event.buf].omnifunc = "v:lua.vim.lsp.omnifunc"
    start(event.buf)
  end,
})
