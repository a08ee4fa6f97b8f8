#include "agents/model/pictures.h"

#include <optional>
#include <string>

namespace sluice {

void load_pictures(const media::Folder& folder, const PictureLimits& limits,
                   std::vector<Speech>& conversation) {
  std::size_t all = 0;
  filter_pictures(conversation, [&](Picture& picture) {
    const std::optional<media::Id> id = media::Id::parse(picture.id);
    if (!id) return false;
    const Result<std::uint64_t> size = folder.size_of(*id);
    if (!size || *size > limits.bytes_each || all + *size > limits.bytes_all) return false;
    const Result<std::string> bytes = folder.read(*id, 0, *size);
    if (!bytes || bytes->empty()) return false;
    all += bytes->size();
    picture.type = media::mime_of(id->type);
    picture.base64 = media::base64(*bytes);
    return true;
  });
}

}  // namespace sluice
