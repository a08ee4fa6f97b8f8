#include "admin/operations.h"

#include <algorithm>

namespace sluice::admin {

GatewayFace gateway_face(Gateway& gateway) {
  Gateway* const g = &gateway;
  GatewayFace face;
  face.status = [g] { return g->status(); };
  face.pause = [g](std::string account, std::string reason) {
    return g->pause(std::move(account), std::move(reason));
  };
  face.resume = [g](std::string account) { return g->resume(std::move(account)); };
  face.redrive = [g](std::int64_t id) { return g->redrive(id); };
  face.discard = [g](std::int64_t id) { return g->discard(id); };
  face.stop_turn = [g](LaneId lane) { return g->stop_turn(lane); };
  face.accept_clock = [g] { return g->accept_clock(); };
  face.hold_person = [g](std::string_view account, std::string_view person, bool hold) {
    if (hold) {
      g->begin_erasure(account, person);
    } else {
      g->end_erasure(account, person);
    }
  };
  face.person_is_active = [g](std::string_view account, std::string_view person) {
    return g->person_is_active(account, person);
  };
  face.head = [g](LaneId lane) { return g->head(lane); };
  face.route = [g](const InboundMessage& event, std::string_view account) {
    return g->explain_route(event, account);
  };
  return face;
}

Operations::Operations(Parts parts) : parts_(std::move(parts)) {
  add_health();
  add_messages();
  add_people();
  add_accounts();
  add_life();
  add_services();
}

Operation& Operations::add(std::string name, std::string_view route, std::vector<Param> params,
                           std::string doc, Member member) {
  const std::size_t space = route.find(' ');
  Operation operation;
  operation.name = std::move(name);
  operation.method = route.substr(0, space);
  operation.path = "/v1/admin/" + std::string(route.substr(space + 1));
  operation.params = std::move(params);
  operation.doc = std::move(doc);
  operation.changes = operation.method != "GET";
  operation.run = [this, member](Arguments arguments) {
    return (this->*member)(std::move(arguments));
  };
  return list_.emplace_back(std::move(operation));
}

const Operation* Operations::find(std::string_view name) const {
  const auto found =
      std::find_if(list_.begin(), list_.end(), [&](const Operation& o) { return o.name == name; });
  return found == list_.end() ? nullptr : &*found;
}

}  // namespace sluice::admin
