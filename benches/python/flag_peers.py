"""What a flag costs in other libraries, each with the same two flags: one on, one for half of the users.

Those with a native core first: yggdrasil (Unleash's), Statsig's, Flipt's. All decide in process, from
what they were given at start; nothing leaves the machine.
"""

from __future__ import annotations

import contextlib

WHO = "6f1c3a90"


def operations(static, percent):
    """The two operations, of functions that ask once; each is seen to work first."""
    assert static() is True
    assert percent() in (True, False)

    def flag_static(n):
        for _ in range(n):
            static()

    def flag_percent(n):
        for _ in range(n):
            percent()

    return {"flag, static": flag_static, "flag, percent": flag_percent}, contextlib.nullcontext


def yggdrasil():
    """The native core of Unleash's SDKs."""
    import json

    from yggdrasil_engine.engine import UnleashEngine

    def toggle(name, *strategies):
        return {"name": name, "type": "release", "enabled": True, "strategies": list(strategies)}

    rollout = {"rollout": "50", "stickiness": "userId", "groupId": "percent"}
    engine = UnleashEngine()
    percent = toggle("percent", {"name": "flexibleRollout", "parameters": rollout})
    engine.take_state(json.dumps({"version": 2, "features": [toggle("static", {"name": "default"}), percent]}))
    who = {"userId": WHO}
    return operations(
        lambda: engine.is_enabled("static", who).is_enabled,
        lambda: engine.is_enabled("percent", who).is_enabled,
    )


def statsig():
    """Statsig's native core, from a data store; network, logging and exposures off."""
    import json

    from statsig_python_core import DataStore, Statsig, StatsigOptions, StatsigUser
    from statsig_python_core.data_store import DataStoreResponse

    def gate(name, percent):
        rule = {
            "name": "r",
            "groupName": "r",
            "id": "r",
            "salt": "r",
            "passPercentage": percent,
            "returnValue": True,
            "idType": "userID",
            "conditions": ["everyone"],
        }
        return {
            "name": name,
            "type": "feature_gate",
            "salt": name,
            "enabled": True,
            "defaultValue": False,
            "entity": "feature_gate",
            "idType": "userID",
            "rules": [rule],
        }

    everyone = {
        "type": "public",
        "targetValue": None,
        "operator": None,
        "field": None,
        "additionalValues": {},
        "isDeviceBased": False,
        "idType": "userID",
    }
    specs = {
        "has_updates": True,
        "time": 1_700_000_000_000,
        "feature_gates": {"static": gate("static", 100), "percent": gate("percent", 50)},
        "dynamic_configs": {},
        "layer_configs": {},
        "layers": {},
        "experiment_to_layer": {},
        "condition_map": {"everyone": everyone},
        "id_lists": {},
    }

    class Store(DataStore):
        def get(self, key):
            return DataStoreResponse(json.dumps(specs), specs["time"])

    options = StatsigOptions()
    options.data_store = Store()
    options.disable_network = True
    options.disable_all_logging = True
    options.output_log_level = "none"
    client = Statsig("secret-key", options)
    client.initialize().wait()
    user = StatsigUser(WHO)
    return operations(lambda: client.check_gate(user, "static"), lambda: client.check_gate(user, "percent"))


def flipt():
    """Flipt's native engine, which fetches its flags once, from a server on this machine."""
    import json
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from flipt_client import FliptClient
    from flipt_client.models import ClientOptions

    def flag(name, enabled, rollouts):
        return {
            "key": name,
            "name": name,
            "type": "BOOLEAN_FLAG_TYPE",
            "enabled": enabled,
            "description": "",
            "rules": [],
            "variants": [],
            "rollouts": rollouts,
        }

    half = {"type": "THRESHOLD_ROLLOUT_TYPE", "rank": 1, "threshold": {"percentage": 50.0, "value": True}}
    flags = [flag("static", True, []), flag("percent", False, [half])]
    snapshot = json.dumps({"namespace": {"key": "default"}, "flags": flags}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(snapshot)))
            self.end_headers()
            self.wfile.write(snapshot)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = FliptClient(opts=ClientOptions(url=f"http://127.0.0.1:{server.server_port}"))

    def ask(name):
        return client.evaluate_boolean(flag_key=name, entity_id=WHO, context={}).enabled

    return operations(lambda: ask("static"), lambda: ask("percent"))


def growthbook():
    from growthbook import GrowthBook

    features = {
        "static": {"defaultValue": True},
        "percent": {"defaultValue": False, "rules": [{"force": True, "coverage": 0.5, "hashAttribute": "id"}]},
    }
    client = GrowthBook(attributes={"id": WHO}, features=features)
    return operations(lambda: client.is_on("static"), lambda: client.is_on("percent"))


def launchdarkly():
    """From a file, without events."""
    import json
    import tempfile

    import ldclient
    from ldclient import Context
    from ldclient.config import Config
    from ldclient.integrations import Files

    def flag(name, fallthrough):
        return {
            "key": name,
            "version": 1,
            "on": True,
            "variations": [True, False],
            "offVariation": 1,
            "fallthrough": fallthrough,
            "salt": name,
        }

    half = {"rollout": {"variations": [{"variation": 0, "weight": 50_000}, {"variation": 1, "weight": 50_000}]}}
    flags = {"static": flag("static", {"variation": 0}), "percent": flag("percent", half)}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"flags": flags}, file)
        file.flush()
        source = Files.new_data_source(paths=[file.name])
        config = Config("sdk-key", update_processor_class=source, send_events=False, diagnostic_opt_out=True)
        ldclient.set_config(config)
        client = ldclient.get()
    context = Context.create(WHO)
    return operations(
        lambda: client.variation("static", context, False), lambda: client.variation("percent", context, False)
    )


def openfeature():
    """The vendor-neutral SDK with its own provider in memory, which knows no percentages."""
    from openfeature import api
    from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

    flags = {name: InMemoryFlag("on", {"on": True, "off": False}) for name in ("static", "percent")}
    api.set_provider(InMemoryProvider(flags))
    client = api.get_client()
    both, in_request = operations(
        lambda: client.get_boolean_value("static", False), lambda: client.get_boolean_value("percent", False)
    )
    return {"flag, static": both["flag, static"]}, in_request


#: Package -> what it measures.
NATIVE = {"yggdrasil-engine": yggdrasil, "statsig-python-core": statsig, "flipt-client": flipt}
OTHERS = {"growthbook": growthbook, "launchdarkly-server-sdk": launchdarkly, "openfeature-sdk": openfeature}
