// What Tableau asks a database about itself through pgjdbc, as JSON lines: method, rows or value, or what was thrown.
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

public class Metadata {
  interface Asked { Object of(DatabaseMetaData meta) throws SQLException; }

  public static void main(String[] arguments) throws Exception {
    String table = arguments[3];
    Map<String, Asked> asked = new TreeMap<>();
    asked.put("getAttributes", m -> rows(m.getAttributes(null, null, null, null)));
    asked.put("getBestRowIdentifier", m -> rows(m.getBestRowIdentifier(null, "public", table, 1, true)));
    asked.put("getCatalogs", m -> rows(m.getCatalogs()));
    asked.put("getClientInfoProperties", m -> rows(m.getClientInfoProperties()));
    asked.put("getColumnPrivileges", m -> rows(m.getColumnPrivileges(null, "public", table, "%")));
    asked.put("getColumns", m -> rows(m.getColumns(null, "public", table, "%")));
    asked.put("getColumnsOfAll", m -> rows(m.getColumns("lake", "public", "%", null)));
    asked.put("getCrossReference", m -> rows(m.getCrossReference(null, "public", table, null, "public", table)));
    asked.put("getExportedKeys", m -> rows(m.getExportedKeys(null, "public", table)));
    asked.put("getFunctionColumns", m -> rows(m.getFunctionColumns(null, "public", "%", "%")));
    asked.put("getFunctions", m -> rows(m.getFunctions(null, "public", "%")));
    asked.put("getImportedKeys", m -> rows(m.getImportedKeys(null, "public", table)));
    asked.put("getIndexInfo", m -> rows(m.getIndexInfo(null, "public", table, false, true)));
    asked.put("getPrimaryKeys", m -> rows(m.getPrimaryKeys(null, "public", table)));
    asked.put("getProcedureColumns", m -> rows(m.getProcedureColumns(null, "public", "%", "%")));
    asked.put("getProcedures", m -> rows(m.getProcedures(null, "public", "%")));
    asked.put("getSchemas", m -> rows(m.getSchemas()));
    asked.put("getSchemasLike", m -> rows(m.getSchemas(null, "pub%")));
    asked.put("getTablePrivileges", m -> rows(m.getTablePrivileges(null, "public", table)));
    asked.put("getTableTypes", m -> rows(m.getTableTypes()));
    asked.put("getTables", m -> rows(m.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"})));
    asked.put("getTablesOfTableau", m -> rows(m.getTables("lake", null, "%",
        new String[] {"TABLE", "VIEW", "FOREIGN TABLE", "MATERIALIZED VIEW", "PARTITIONED TABLE"})));
    asked.put("getTypeInfo", m -> rows(m.getTypeInfo()));
    asked.put("getUDTs", m -> rows(m.getUDTs(null, null, "%", null)));
    asked.put("getVersionColumns", m -> rows(m.getVersionColumns(null, "public", table)));
    asked.put("getDatabaseProductName", m -> m.getDatabaseProductName());
    asked.put("getDatabaseProductVersion", m -> m.getDatabaseProductVersion());
    asked.put("getDatabaseMajorVersion", m -> m.getDatabaseMajorVersion());
    asked.put("getDefaultTransactionIsolation", m -> m.getDefaultTransactionIsolation());
    asked.put("getIdentifierQuoteString", m -> m.getIdentifierQuoteString());
    asked.put("getMaxColumnNameLength", m -> m.getMaxColumnNameLength());
    asked.put("getMaxColumnsInIndex", m -> m.getMaxColumnsInIndex());
    asked.put("getNumericFunctions", m -> m.getNumericFunctions());
    asked.put("getSQLKeywords", m -> m.getSQLKeywords().isEmpty() ? "" : "some");
    asked.put("getUserName", m -> m.getUserName());
    asked.put("isReadOnly", m -> m.isReadOnly());
    asked.put("supportsTransactions", m -> m.supportsTransactions());
    try (Connection connection = DriverManager.getConnection(arguments[0], arguments[1], arguments[2])) {
      DatabaseMetaData meta = connection.getMetaData();
      for (Map.Entry<String, Asked> entry : asked.entrySet()) {
        Object told;
        try {
          told = entry.getValue().of(meta);
        } catch (SQLException error) {
          told = Map.of("thrown", error.getSQLState() + " " + error.getMessage());
        }
        System.out.println("{\"method\": " + json(entry.getKey()) + ", \"told\": " + json(told) + "}");
      }
    }
  }

  static List<Map<String, Object>> rows(ResultSet rows) throws SQLException {
    List<Map<String, Object>> all = new ArrayList<>();
    ResultSetMetaData columns = rows.getMetaData();
    while (rows.next()) {
      Map<String, Object> row = new TreeMap<>();
      for (int at = 1; at <= columns.getColumnCount(); at++) {
        row.put(columns.getColumnLabel(at).toUpperCase(), rows.getString(at));
      }
      all.add(row);
    }
    return all;
  }

  static String json(Object value) {
    if (value == null || value instanceof Number || value instanceof Boolean) {
      return String.valueOf(value);
    }
    if (value instanceof List<?> list) {
      return "[" + String.join(", ", list.stream().map(Metadata::json).toList()) + "]";
    }
    if (value instanceof Map<?, ?> map) {
      return "{" + String.join(", ", map.entrySet().stream()
          .map(entry -> json(entry.getKey().toString()) + ": " + json(entry.getValue())).toList()) + "}";
    }
    StringBuilder text = new StringBuilder("\"");
    for (char letter : value.toString().toCharArray()) {
      if (letter == '"' || letter == '\\' || letter < ' ') {
        text.append(String.format("\\u%04x", (int) letter));
      } else {
        text.append(letter);
      }
    }
    return text.append('"').toString();
  }
}
