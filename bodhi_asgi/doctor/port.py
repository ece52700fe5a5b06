"""The address to listen on: whether it is free, or who has it. Listened on for a moment, by our own code."""

from typing import Any, Final

from bodhi_asgi.doctor.case import Case
from bodhi_asgi.doctor.holder import holder_of
from bodhi_asgi.doctor.types import Finding, failed, ok, warning
from bodhi_asgi.http.listener import AddressRefused, PortInUse, bind

CHECK: Final = "port"


def examine(case: Case) -> list[Finding]:
    """A taken port is a failure when these settings name it or listen by themselves; a mounted server needs none."""
    config = case.config
    host, port = config.host_and_port
    address = config.bind_address
    facts: dict[str, Any] = {"address": address}
    is_needed = config.enable_http or config.origin("bind_address") != "default"
    try:
        bind(host, port).close()
    except AddressRefused as error:
        advice = "Set bind_address to an address of this machine, and to a port above 1023 unless root listens."
        told = error.message
        return [failed(CHECK, told, advice, **facts) if is_needed else warning(CHECK, told, advice, **facts)]
    except PortInUse:
        holder = holder_of(port)
        facts |= {"holder_pid": holder.pid if holder else None, "holder": holder.command if holder else None}
        if holder is not None and holder.is_us:
            return [ok(CHECK, f"{address} is listened on by this very process", **facts)]
        who = f"{holder.command or 'a process'} (pid {holder.pid})" if holder else "another program"
        told = f"{address} is taken by {who}"
        advice = "End that program, or choose another port with bind_address (bodhi serve --port)."
        if holder is not None and holder.is_bodhi:
            advice = f"If that is not the server you mean to run, end it: kill {holder.pid}"
            return [warning(CHECK, told, advice, **facts)]
        return [failed(CHECK, told, advice, **facts) if is_needed else warning(CHECK, told, advice, **facts)]
    return [ok(CHECK, f"{address} is free" if port else f"{address} takes any port that is free", **facts)]
