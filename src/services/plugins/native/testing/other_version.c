/* A plugin for tests that was made for another version of the interface. */
#include "services/plugins/sdk/cove_plugin_abi.h"

const cove_plugin_api* cove_plugin_get(uint32_t host_abi_version);

static const cove_plugin_api api = {sizeof(cove_plugin_api), COVE_PLUGIN_ABI_VERSION + 1, 0, 0, 0, 0, 0, 0};

const cove_plugin_api* cove_plugin_get(uint32_t host_abi_version) {
  (void)host_abi_version;
  return &api;
}
