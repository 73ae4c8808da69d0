#pragma once
// Every subcommand of `cove`, one file cmd_NAME.cc each. main.cc shows them in this order.

#include "flags.h"

namespace cove::app {

extern const Command kApikey;
extern const Command kAudit;
extern const Command kBench;
extern const Command kChat;
extern const Command kDecrypt;
extern const Command kDoctor;
extern const Command kEncrypt;
extern const Command kEval;
extern const Command kKey;
extern const Command kModel;
extern const Command kParse;
extern const Command kRender;
extern const Command kServe;
extern const Command kTls;
extern const Command kToken;
extern const Command kTokenize;
extern const Command kUser;

inline const Command* const kCommands[] = {
    &kApikey, &kAudit, &kBench,  &kChat,  &kDecrypt, &kDoctor, &kEncrypt,  &kEval, &kKey,
    &kModel,  &kParse, &kRender, &kServe, &kTls,     &kToken,  &kTokenize, &kUser,
};

}  // namespace cove::app
