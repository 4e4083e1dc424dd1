"""What a reward model really asks for: its optimum, its response to what photographers do, and an agent's regret."""

from agents.auditing.audit import Audit, Regret, audit_reward, regret
from agents.auditing.figures import audit_figure
from agents.auditing.search import best_plans

__all__ = ["Audit", "Regret", "audit_figure", "audit_reward", "best_plans", "regret"]
