"""Tableau workbooks as text: what is on the sheets, the file, its check, and its queries as SQL.

    schema + settings -> design -> document (.twb, .tds) -> reading -> check, sql
"""
