#include "gateway/message_json.h"

#include <boost/json.hpp>

namespace sluice {

std::string to_json(const ResponseMeta& meta) {
  boost::json::object o;
  const auto set = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) o[name] = value;
  };
  set("session", meta.session);
  set("project", meta.project);
  set("project_tag", meta.project_tag);
  set("seed", meta.seed);
  set("phase", meta.phase);
  if (meta.evaluation_passed) o["evaluation_passed"] = *meta.evaluation_passed;
  if (meta.duration_ms != 0) o["duration_ms"] = meta.duration_ms;
  set("error", meta.error);
  return o.empty() ? std::string() : boost::json::serialize(o);
}

std::string to_json(const MessageExtra& extra) {
  boost::json::object o;
  const auto list = [&](std::string_view name, const std::vector<std::string>& values) {
    if (!values.empty()) o[name] = boost::json::array(values.begin(), values.end());
  };
  list("projects", extra.projects);
  list("attachments", extra.attachments);
  const auto set = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) o[name] = value;
  };
  set("session", extra.session);
  set("request_id", extra.request_id);
  set("agent", extra.agent);
  set("model", extra.model);
  set("time_zone", extra.time_zone);
  return o.empty() ? std::string() : boost::json::serialize(o);
}

MessageExtra parse_extra(std::string_view json) {
  MessageExtra extra;
  if (json.empty()) return extra;
  boost::system::error_code ec;
  const boost::json::value value = boost::json::parse(json, ec);
  const boost::json::object* o = ec ? nullptr : value.if_object();
  if (o == nullptr) return extra;
  const auto text = [&](std::string_view name) {
    const boost::json::value* v = o->if_contains(name);
    return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
  };
  const auto list = [&](std::string_view name, std::vector<std::string>& out) {
    const boost::json::value* v = o->if_contains(name);
    if (v == nullptr || !v->is_array()) return;
    for (const auto& item : v->get_array()) {
      if (item.is_string()) out.emplace_back(item.get_string());
    }
  };
  extra.session = text("session");
  extra.request_id = text("request_id");
  extra.agent = text("agent");
  extra.model = text("model");
  extra.time_zone = text("time_zone");
  list("projects", extra.projects);
  list("attachments", extra.attachments);
  return extra;
}

std::string line_meta(std::string_view extra) {
  if (extra.find("\"attachments\"") == std::string_view::npos) return {};
  MessageExtra shown;
  shown.attachments = parse_extra(extra).attachments;
  return to_json(shown);
}

}  // namespace sluice
