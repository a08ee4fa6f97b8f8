#pragma once
// What a model is shown of the images in a conversation: the newest ones, as far as the bounds
// reach. The others, and those that are gone, stay as markers in the text: never as silence.

#include <cstddef>
#include <vector>

#include "agents/model/conversation.h"
#include "media/folder.h"

namespace sluice {

struct PictureLimits {
  std::size_t bytes_each = 0;
  std::size_t bytes_all = 0;
};

/// Reads them, newest first. On the thread that may touch the folder; blocks.
void load_pictures(const media::Folder& folder, const PictureLimits& limits,
                   std::vector<Speech>& conversation);

}  // namespace sluice
