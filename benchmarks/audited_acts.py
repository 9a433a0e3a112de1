"""Write units of the acts in the audit log, without their entries and with them.

    .venv/bin/python -m benchmarks.audited_acts

The units are the emulator's, as in `growth`.
"""

from unittest.mock import patch

from benchmarks.growth import measured_usage
from benchmarks.measuring import markdown_table
from benchmarks.stage import running_stage
from chalicelib.core.roles import Role
from chalicelib.models.audit import AuditEntry
from chalicelib.security import passwords
from tests.factories import create_user
from tests.unit.audited_acts import ACTS, Act


def main() -> None:
    """Start a stage and print the table."""
    with running_stage(), patch.object(passwords, "verify_password", lambda given, kept: True):
        admin = create_user(Role.ADMIN)

        def units(act: Act) -> float:
            target = act.prepare()
            with measured_usage() as usage:
                act.do(admin, target)
            return usage.writes

        rows = []
        for act in ACTS:
            with patch.object(AuditEntry, "add_to"):
                without = units(act)
            rows.append([act.label or act.action.value, f"{without:g}", f"{units(act):g}"])
    print(markdown_table(["act", "write units without its entry", "with it"], rows))


if __name__ == "__main__":
    main()
